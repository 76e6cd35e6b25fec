//! The text of `docs/config.md`.

use super::keys::{Applies, KEYS, Key};
use std::fmt::Write as _;

/// What stands above the table.
const HEAD: &str = "\
# Configuration

<!-- Written by `RENSEI_UPDATE_DOCS=1 cargo nextest run -p rensei-daemon-core config_reference`. Do not edit. -->

A host reads `daemon.yaml` from its state directory (`~/.rensei`, or `RENSEI_HOME`); `rensei host run --config` names
another file. A host without a file runs with defaults, serves no project and so refuses every session. Keys that are
not listed here are ignored and kept. Empty values are the same as absent ones.

- **Mistakes** are reported as `file:line:column`, with the key and what is allowed. A host does not start with one; a
  running host goes on with the last good configuration and says so in its log.
- **Further organisations** have files `daemon-<org>.yaml` beside it with the same keys, of which `projects` and
  `orchestrator` count.
- **Paths** are absolute or start with `~/`. Relative ones are refused.
- **Secrets**: keep the file at mode 0600, or write `${NAME}` and set the variable where the host is started.
- **Changes** to the file are noticed a quarter of a second after the last write. The last column says what happens:
  `at once`, with the next `restart`, or `no effect`: such a key is checked, so that files of other hosts of this family
  stay valid, and changes nothing here.
- **Programs that change the file** (the control plane, through the host) keep comments, order, quoting and
  unknown keys. They replace the file in one step, never write what `${NAME}` stands for, and leave it alone when the
  result would not be valid. `daemon.yaml.lock` beside it keeps two of them apart; it is always empty.

```yaml
machine:
  id: build-7
capacity:
  maxConcurrentSessions: 4
projects:
  - id: example-app
    repository: https://github.com/example/app.git
orchestrator:
  url: https://platform.example.com
  authToken: ${RENSEI_TOKEN}
```

## Keys

";

/// The whole reference.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("| key | value | default | meaning | takes effect |\n|---|---|---|---|---|\n");
    for Key { path, kind, default, meaning, applies, .. } in KEYS {
        let applies = match applies {
            Applies::AtOnce => "at once",
            Applies::Restart => "restart",
            Applies::Nothing => "no effect",
        };
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "| `{path}` | {kind} | {default} | {meaning} | {applies} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn config_reference_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
        if std::env::var_os("RENSEI_UPDATE_DOCS").is_some() {
            std::fs::write(&path, reference()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let again = "RENSEI_UPDATE_DOCS=1 cargo nextest run -p rensei-daemon-core config_reference";
        assert!(found == reference(), "docs/config.md is not what the table of keys says; write it with\n    {again}");
    }

    #[test]
    fn config_reference_example_is_valid() {
        let yaml = HEAD.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let defaults = crate::config::Defaults { hostname: String::new(), cpus: 1 };
        let loaded = crate::config::load::parse(Path::new("x"), yaml, &[].into(), &defaults).unwrap();
        assert_eq!(loaded.config.projects.len(), 1);
    }
}
