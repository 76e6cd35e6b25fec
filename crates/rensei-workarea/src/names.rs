//! Names of branches and starting points.

use crate::WorkareaError;
use git2::Reference;
use rensei_proto::SessionId;

/// Longest accepted name: servers keep refs as files, and a file name ends at 255 bytes.
const MAX_LEN: usize = 200;

/// Branch of a session for which no other was asked: `agent/<session id>`.
#[must_use]
pub fn default_branch(session: &SessionId) -> String {
    let branch = format!("agent/{session}");
    // Session ids allow dots where ref names do not: `..`, a trailing one, `.lock`.
    if is_branch(&branch) { branch } else { branch.replace('.', "-") }
}

/// Where the work of a session goes when the remote takes neither the wanted branch nor the default one, for example
/// because it has a branch `agent`.
pub(crate) fn last_resort_branch(session: &SessionId) -> String {
    default_branch(session).replacen('/', "-", 1)
}

/// Checks a branch to be created; an empty one means the default.
pub(crate) fn branch_or_default(wanted: &str, session: &SessionId) -> Result<String, WorkareaError> {
    if wanted.is_empty() {
        return Ok(default_branch(session));
    }
    if is_branch(wanted) {
        return Ok(wanted.to_owned());
    }
    Err(WorkareaError::invalid("branch", wanted, "git does not allow it as the name of a branch"))
}

/// Whether git and all its commands take the text for a branch.
pub(crate) fn is_branch(name: &str) -> bool {
    let well_formed =
        !name.is_empty() && name.len() <= MAX_LEN && !name.starts_with('-') && !matches!(name, "HEAD" | "@");
    well_formed && !name.starts_with("refs/") && Reference::is_valid_name(&format!("refs/heads/{name}"))
}

/// Checks a starting point: branch, tag, commit id or full ref name; may be empty.
pub(crate) fn check_reference(text: &str) -> Result<(), WorkareaError> {
    let valid = text.is_empty()
        || (text.len() <= MAX_LEN && !text.starts_with('-') && Reference::is_valid_name(&format!("refs/heads/{text}")));
    if valid { Ok(()) } else { Err(WorkareaError::invalid("ref", text, "it cannot be a branch, tag or commit")) }
}

/// Up to `limit` of the names that look most like `wanted`.
pub(crate) fn most_similar(wanted: &str, names: impl Iterator<Item = String>, limit: usize) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(usize, String)> = names.map(|name| (distance(&wanted, &name.to_lowercase()), name)).collect();
    scored.sort();
    scored.into_iter().take(limit).map(|(_, name)| name).collect()
}

/// Edits that turn one text into the other; a text that contains the other is close.
fn distance(a: &str, b: &str) -> usize {
    if !a.is_empty() && (a.contains(b) || b.contains(a)) {
        return 1;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_branches_are_refused() {
        let session = SessionId::parse("s1").unwrap();
        for bad in [
            "-x",
            "--force",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            "a.lock",
            "a.",
            ".a",
            "@",
            "@{",
            "a@{1}",
            "HEAD",
            "a\nb",
            "a\0b",
            "\u{7f}",
            "refs/heads/x",
            &"x".repeat(300),
        ] {
            let error = branch_or_default(bad, &session).unwrap_err();
            assert_eq!(error.kind(), crate::WorkareaErrorKind::InvalidName, "{bad}");
        }
        for good in ["feature/ü", "a", "fix-1", "x/y/z", "日本"] {
            assert_eq!(branch_or_default(good, &session).unwrap(), good);
        }
        assert_eq!(branch_or_default("", &session).unwrap(), "agent/s1");
    }

    #[test]
    fn every_session_has_a_valid_default_branch() {
        for id in ["a", "a..b", "a.lock", "a.", "_.", "x-1.2"] {
            let session = SessionId::parse(id).unwrap();
            assert!(is_branch(&default_branch(&session)), "{id}");
            assert!(is_branch(&last_resort_branch(&session)), "{id}");
        }
    }

    #[test]
    fn references() {
        for bad in ["-x", "a..b", ":/fix", "HEAD^", "@{-1}", "a b", "x\0"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
        for good in ["", "main", "v1.0", "0123abc", "refs/pull/1/head", "feature/x"] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn similar_names_come_first() {
        let names = ["master", "mian", "feature/main-menu", "zzzzzzzzz"].map(str::to_owned);
        assert_eq!(most_similar("main", names.into_iter(), 3), ["feature/main-menu", "mian", "master"]);
    }
}
