//! From bytes to a manifest, and what is wrong with them.

use super::place::{self, Place};
use super::{Manifest, check};
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Largest manifest that is read.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Why a file is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {}{problem}", path.display(), place.as_ref().map(Place::suffix).unwrap_or_default(), key_prefix(key.as_deref()))]
pub struct ManifestError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Where in it.
    pub place: Option<Place>,
    /// The key, such as `kit.priority`.
    pub key: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

fn key_prefix(key: Option<&str>) -> String {
    key.map(|key| format!("`{key}` ")).unwrap_or_default()
}

/// Something in a manifest that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestWarning {
    /// Where.
    pub place: Option<Place>,
    /// The key.
    pub key: String,
    /// What is the matter.
    pub problem: String,
}

impl fmt::Display for ManifestWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "line {}: ", place.line)?;
        }
        write!(f, "`{}` {}", self.key, self.problem)
    }
}

impl Manifest {
    /// Reads a manifest from the bytes of `path`, which is only used to name it.
    ///
    /// # Errors
    /// [`ManifestError`] with file, line and key: not UTF-8, no TOML, a wrong type, no `kit.id`, or a name, path or
    /// pattern that cannot be used.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<(Self, Vec<ManifestWarning>), ManifestError> {
        let fail = |problem: String| ManifestError { path: path.to_owned(), place: None, key: None, problem };
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(fail(format!("is larger than {} KiB", MAX_MANIFEST_BYTES / 1024)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".to_owned()))?;
        let table = DeTable::parse(text).map_err(|error| explain(path, text, None, &error))?;
        let mut ignored = Vec::new();
        let deserializer = toml::Deserializer::from(table.clone());
        let read = serde_ignored::deserialize(deserializer, |key| ignored.push(key.to_string()));
        let manifest: Self = read.map_err(|error| explain(path, text, Some(table.get_ref()), &error))?;
        let locate = |key: &str| place::of_key(text, table.get_ref(), key);
        check::required(&manifest).map_err(|(key, problem)| ManifestError {
            path: path.to_owned(),
            place: locate(&key),
            key: Some(key),
            problem,
        })?;
        let unknown = ignored.iter().map(|key| (indexed(key), "is not a key of kits: ignored".to_owned()));
        let warnings = unknown.chain(check::doubtful(&manifest));
        let warnings = warnings.map(|(key, problem)| ManifestWarning { place: locate(&key), key, problem }).collect();
        Ok((manifest, warnings))
    }
}

/// `skills.0.file` as `skills[0].file`.
fn indexed(key: &str) -> String {
    let steps = key.split('.').map(|step| match step.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{step}"),
    });
    steps.collect::<String>().trim_start_matches('.').to_owned()
}

/// The parser's words, with the key and the place that it means.
fn explain(path: &Path, text: &str, table: Option<&DeTable<'_>>, error: &toml::de::Error) -> ManifestError {
    let span = error.span();
    let key = span.as_ref().zip(table).and_then(|(span, table)| place::key_at(table, span));
    let problem = error.message().trim().trim_end_matches('.').replace('\n', " ");
    let problem = if key.is_some() { format!("is wrong: {problem}") } else { problem };
    ManifestError { path: path.to_owned(), place: span.map(|span| Place::of(text, span.start)), key, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Manifest, Vec<String>), String> {
        let parsed = Manifest::parse(Path::new("/k/a.kit.toml"), text.as_bytes());
        parsed
            .map(|(manifest, warnings)| (manifest, warnings.iter().map(ToString::to_string).collect()))
            .map_err(|error| error.to_string())
    }

    const WHOLE: &str = include_str!("../../tests/fixtures/every-table.kit.toml");

    #[test]
    fn every_table_is_read_and_nothing_is_left_over() {
        let (manifest, warnings) = parse(WHOLE).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!((manifest.kit.id.as_str(), manifest.kit.priority), ("team/whole", -3));
        assert_eq!(manifest.kit.author_identity, "did:web:example.com");
        assert_eq!(manifest.detect.content_matches[0].json_path, "$.dependencies.next");
        assert_eq!(manifest.provide.hooks.os["windows"].post_acquire, r"bin\setup.cmd");
        assert_eq!(manifest.provide.mcp_servers[0].args, ["--stdio"]);
        assert_eq!(manifest.provide.lanes[0].os, ["macos"]);
        assert_eq!(manifest.composition.group(), super::super::Order::Framework);
        assert_eq!(manifest.depends_on.kits, ["team/base"]);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, message) in [
            ("[kit]\nid = \"a\"\npriority = 1.5\n", "/k/a.kit.toml:3:12: `kit.priority` is wrong: invalid type"),
            ("[kit]\nid = \"a\"\npriority = \"x\"\n", "/k/a.kit.toml:3:12: `kit.priority` is wrong"),
            ("[kit]\nid = \"a\"\n[detect.toolchain]\ngo = 1\n", "/k/a.kit.toml:4:6: `detect.toolchain.go` is wrong"),
            ("[kit]\nid = \"a\"\nid = \"b\"\n", "/k/a.kit.toml:3:1: duplicate key"),
            ("[kit]\nid =\n", "/k/a.kit.toml:2:"),
            (
                "[kit]\nid = \"a\"\n[[provide.skills]]\nfile = 3\n",
                "/k/a.kit.toml:4:8: `provide.skills[0].file` is wrong",
            ),
            ("[kit]\nname = \"n\"\n", "/k/a.kit.toml:1:2: `kit.id` is missing"),
            ("", "/k/a.kit.toml: `kit.id` is missing"),
            ("[kit]\nid = \"../x\"\n", "/k/a.kit.toml:2:6: `kit.id` is wrong"),
            ("[kit]\nid = \"a\"\n[detect]\nfiles = [\"../x\"]\n", "/k/a.kit.toml:4:10: `detect.files[0]` must"),
            ("[kit]\nid = \"a\"\n[detect]\nfiles = [\"a[\"]\n", "/k/a.kit.toml:4:10: `detect.files[0]` is no glob"),
            ("[kit]\nid = \"a\"\n[files]\n\"x\" = \"12\"\n", "/k/a.kit.toml:4:7: `files.x` must be"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(message), "{text:?} gives {error}");
        }
        let error = Manifest::parse(Path::new("b"), b"\xff").unwrap_err();
        assert_eq!(error.to_string(), "b: is not UTF-8 text");
        assert!(Manifest::parse(Path::new("b"), &vec![b'#'; (1 << 20) + 1]).is_err());
    }

    #[test]
    fn what_has_no_effect_is_mentioned_with_its_line() {
        let text = "api = \"v1\"\nextra = 1\n[kit]\nid = \"a\"\nversion = \"1.0\"\nnaem = \"x\"\n[supports]\nos = [\"linus\"]\n\
                    [requires]\nrensei = \"latest\"\n[[provide.skills]]\nfile = \"s\"\nxx = 1\n";
        let (_, warnings) = parse(text).unwrap();
        assert_eq!(
            warnings,
            [
                "line 2: `extra` is not a key of kits: ignored",
                "line 6: `kit.naem` is not a key of kits: ignored",
                "line 13: `provide.skills[0].xx` is not a key of kits: ignored",
                "line 5: `kit.version` is no semantic version",
                "line 10: `requires.rensei` is no range of versions: ignored",
                "line 8: `supports.os[0]` is unknown: linux, macos, windows",
            ]
        );
    }

    #[test]
    fn odd_but_valid_spellings_are_read() {
        for text in ["\u{feff}[kit]\nid = \"a\"\n", "[kit]\r\nid = \"a\"\r\n", "kit = { id = \"a\", priority = -1 }"] {
            assert_eq!(parse(text).unwrap().0.kit.id.as_str(), "a", "{text:?}");
        }
    }
}
