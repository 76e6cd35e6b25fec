//! Names of keys, and names that are derived when nobody gave one.

/// One step of a key such as `projects[0].id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// The steps of `key`; none when it is not well-formed.
pub(super) fn segments(key: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    for part in key.split('.') {
        let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        segments.push(Segment::Key(name.to_owned()));
        while !rest.is_empty() {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            segments.push(Segment::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(segments)
}

/// `key` as the reference spells it: `projects[3].id` is `projects[].id`.
pub(super) fn pattern(key: &[Segment]) -> String {
    let mut text = String::new();
    for segment in key {
        match segment {
            Segment::Key(name) if text.is_empty() => text.push_str(name),
            Segment::Key(name) => {
                text.push('.');
                text.push_str(name);
            }
            Segment::Index(_) => text.push_str("[]"),
        }
    }
    text
}

/// A host name as a label: lower case, `[a-z0-9-]`, no repeated or outer dashes.
pub(super) fn label(hostname: &str) -> String {
    sanitise(hostname).unwrap_or_else(|| "local-machine".to_owned())
}

/// Id of a project for its repository: the last two parts of its path, such as `owner-name`.
#[must_use]
pub fn project_id(repository: &str) -> String {
    let text = repository.trim().to_ascii_lowercase();
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix(".git").unwrap_or(text);
    let path = text.split_once("://").map_or(text, |(_scheme, rest)| rest);
    // An scp-like address has its path behind the first colon.
    let parts: Vec<&str> = path.split(['/', ':']).filter(|part| !part.is_empty()).collect();
    let last = &parts[parts.len().saturating_sub(2)..];
    sanitise(&last.join("-")).unwrap_or_else(|| "project".to_owned())
}

fn sanitise(text: &str) -> Option<String> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mapped: String = text.chars().map(allowed).collect();
    let parts: Vec<_> = mapped.split('-').filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_names_are_derived() {
        let ids = [
            ("git@github.com:foo/bar.git", "foo-bar"),
            ("https://github.com/Foo/Bar_x.git/", "foo-bar-x"),
            ("ssh://git@h:22/a/b/c", "b-c"),
            ("foo/bar", "foo-bar"),
            ("/srv/bar.git", "srv-bar"),
            ("bar", "bar"),
            ("", "project"),
            ("://", "project"),
        ];
        for (repository, id) in ids {
            assert_eq!(project_id(repository), id, "{repository}");
        }
        assert_eq!(label("Big_Mac..local"), "big-mac-local");
        assert_eq!(label("…"), "local-machine");
    }
}
