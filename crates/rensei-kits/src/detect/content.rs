//! What files say: a text that they hold, or a value in JSON or TOML.

use crate::manifest::ContentMatch;
use rensei_process::open_child_file;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Bytes of a file that are looked at; a larger one matches nothing.
const MAX_FILE: u64 = 1 << 20;

/// What was found, or what was not. The tree is foreign: links are not followed, pipes not waited for.
pub(super) fn find(wanted: &ContentMatch, root: &Path) -> Result<String, String> {
    let file = &wanted.file;
    let text = read(&root.join(file)).ok_or_else(|| format!("there is no {file} to read"))?;
    if !wanted.contains.is_empty() && !text.contains(&wanted.contains) {
        return Err(format!("{file} does not contain {:?}", wanted.contains));
    }
    if wanted.json_path.is_empty() {
        return Ok(format!("{file} contains {:?}", wanted.contains));
    }
    let path = &wanted.json_path;
    let value = parse(file, &text).ok_or_else(|| format!("{file} cannot be read as JSON or TOML"))?;
    let steps = json_path(path).unwrap_or_default();
    match steps.iter().try_fold(&value, |value, step| step.of(value)) {
        Some(Value::Null) | None => Err(format!("{file} has no {path}")),
        Some(_) => Ok(format!("{file} has {path}")),
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let mut file = open_child_file(path).ok()?.take(MAX_FILE + 1);
    file.read_to_string(&mut text).ok()?;
    (text.len() as u64 <= MAX_FILE).then_some(text)
}

fn parse(file: &str, text: &str) -> Option<Value> {
    let text = text.trim_start_matches('\u{feff}');
    if file.ends_with(".toml") { toml::from_str(text).ok() } else { serde_json::from_str(text).ok() }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Key(key) => value.get(key),
            Self::Index(index) => value.get(index),
        }
    }
}

/// The part of JSONPath that names one value: `$.a.b`, `$['a']["b"]`, `$.list[0]`.
pub(crate) fn json_path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(dotted) = rest.strip_prefix('.') {
            let end = dotted.find(['.', '[']).unwrap_or(dotted.len());
            (Step::Key(dotted[..end].to_owned()), &dotted[end..])
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = ['\'', '"'].iter().find_map(|&quote| inside.strip_prefix(quote)?.strip_suffix(quote));
            (quoted.map_or_else(|| inside.parse().ok().map(Step::Index), |key| Some(Step::Key(key.to_owned())))?, after)
        };
        if step == Step::Key(String::new()) || step == Step::Key("*".to_owned()) {
            return None;
        }
        steps.push(step);
        rest = after;
    }
    (!steps.is_empty()).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_to_one_value() {
        let key = |text: &str| Step::Key(text.to_owned());
        assert_eq!(json_path("$.dependencies.next"), Some(vec![key("dependencies"), key("next")]));
        assert_eq!(json_path("$['@a/b'][\"c.d\"][2]"), Some(vec![key("@a/b"), key("c.d"), Step::Index(2)]));
        for bad in ["", "$", "a.b", "$..a", "$.*", "$[", "$[x]", "$.a.", "$[?(@.a)]"] {
            assert_eq!(json_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn json_toml_and_text_of_a_foreign_tree() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("package.json", r#"{"dependencies":{"next":"15","gone":null}}"#);
        put("pyproject.toml", "[tool.poetry]\nname = \"x\"\n");
        put("broken.json", "{");
        put("large.txt", &"x".repeat(1 << 21));
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let ask = |file: &str, path: &str, contains: &str| {
            let (file, json_path, contains) = (file.to_owned(), path.to_owned(), contains.to_owned());
            find(&ContentMatch { file, json_path, contains }, dir.path())
        };
        assert_eq!(ask("package.json", "$.dependencies.next", "").unwrap(), "package.json has $.dependencies.next");
        assert_eq!(
            ask("package.json", "$.dependencies.gone", "").unwrap_err(),
            "package.json has no $.dependencies.gone"
        );
        assert!(ask("pyproject.toml", "$.tool.poetry", "").is_ok());
        assert!(ask("pyproject.toml", "", "poetry").is_ok() && ask("pyproject.toml", "$.tool.poetry", "no").is_err());
        assert!(ask("broken.json", "$.a", "").is_err());
        for unread in ["large.txt", "link", "missing", "."] {
            assert!(ask(unread, "", "root").is_err(), "{unread}");
        }
    }
}
