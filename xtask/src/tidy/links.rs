//! Rules for documents: links resolve, named tests and named files exist.

use super::TextFile;
use crate::markdown::{self, Document};
use crate::task::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Checks all documents together. `exists` answers for paths from the root.
pub(crate) fn check(documents: &[&TextFile], sources: &[&TextFile], exists: &dyn Fn(&Path) -> bool) -> Vec<Finding> {
    let parsed: BTreeMap<&Path, Document> =
        documents.iter().map(|file| (file.path.as_path(), markdown::parse(&file.text))).collect();
    let functions = function_names(sources);
    let mut findings = Vec::new();
    for file in documents {
        let document = &parsed[file.path.as_path()];
        for (line, target) in &document.links {
            findings
                .extend(link_problem(&file.path, target, &parsed, exists).map(|problem| file.finding(*line, problem)));
        }
        findings.extend(invariants(file, document, &functions));
        findings.extend(named_paths(file, document, exists));
    }
    findings
}

/// What is wrong with a link, if anything. Links to other sites are not followed.
fn link_problem(
    from: &Path,
    target: &str,
    parsed: &BTreeMap<&Path, Document>,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { from.to_owned() } else { resolve(from, file) };
    if !exists(&path) {
        return Some(format!("link `{target}`: there is no {}", path.display()));
    }
    let anchor = anchor?;
    let document = parsed.get(path.as_path())?;
    (!document.anchors.iter().any(|a| a == anchor)).then(|| format!("link `{target}`: no such heading"))
}

/// `target`, seen from the directory of `from`, as a path from the root.
fn resolve(from: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in from.parent().unwrap_or(Path::new("")).join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

/// Names of all functions in the tree.
fn function_names(sources: &[&TextFile]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in sources {
        for rest in file.text.split("fn ").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.insert(name);
        }
    }
    names
}

/// What the rows and paragraphs begin with that name tests: an invariant, a fault.
const SHOWN_BY_TESTS: [&str; 3] = ["| INV-", "**INV-", "| F-"];

/// Every paragraph that states an invariant (`INV-n`) or a fault (`F-n`) names at least one test, and each exists.
fn invariants(file: &TextFile, document: &Document, functions: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in
        document.prose.iter().filter(|(_, text)| SHOWN_BY_TESTS.iter().any(|start| text.starts_with(start)))
    {
        let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|code| is_test_name(code)).collect();
        if names.is_empty() {
            findings.push(file.finding(*line, "an invariant or a fault without a test"));
        }
        let missing = names.into_iter().filter(|name| !functions.contains(name.rsplit("::").next().unwrap_or(name)));
        findings.extend(missing.map(|name| file.finding(*line, format!("there is no test `{name}`"))));
    }
    findings
}

/// Whether inline code is a test's name: words with underscores, with or without its module.
fn is_test_name(code: &str) -> bool {
    let well_formed = code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':'));
    well_formed && code.contains('_')
}

/// Inline code that looks like a path of this repository is one.
fn named_paths(file: &TextFile, document: &Document, exists: &dyn Fn(&Path) -> bool) -> Vec<Finding> {
    let tops = ["crates/", "bins/", "xtask/", "docs/"];
    let is_path =
        |code: &str| tops.iter().any(|top| code.starts_with(top)) && !code.contains(['*', '<', '{', ' ', '…']);
    let named = document.code.iter().filter(|(_, code)| is_path(code));
    let missing = named.filter(|(_, code)| !exists(Path::new(code.split(':').next().unwrap_or(code))));
    missing.map(|(line, code)| file.finding(*line, format!("there is no `{code}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str, source: &str) -> Vec<String> {
        let document = TextFile { path: "docs/a.md".into(), text: text.to_owned() };
        let source = TextFile { path: "crates/a/src/a.rs".into(), text: source.to_owned() };
        let exists =
            |path: &Path| ["docs/a.md", "README.md", "crates/a/src/a.rs"].iter().any(|known| path == Path::new(known));
        check(&[&document], &[&source], &exists).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn links_resolve_from_the_document() {
        let good = "# Top\n[r](../README.md) [a](a.md#top) [t](#top) [w](https://example.org/x)";
        assert_eq!(messages(good, ""), [""; 0]);
        assert_eq!(messages("[r](README.md) [a](#gone)", "").len(), 2);
    }

    #[test]
    fn invariants_and_faults_name_tests_that_exist() {
        let good = "| INV-1 | One session, one process. | `runner::one_session_one_process` |";
        assert_eq!(messages(good, "fn one_session_one_process() {}"), [""; 0]);
        assert_eq!(messages(good, "fn other() {}"), ["there is no test `runner::one_session_one_process`"]);
        for untested in ["| INV-2 | Nothing holds this. | |", "| F-3 | Nobody has seen this. | |"] {
            assert_eq!(messages(untested, ""), ["an invariant or a fault without a test"]);
        }
    }

    #[test]
    fn named_files_exist() {
        assert_eq!(messages("`crates/a/src/a.rs` `crates/*/tests` `crates/a/src/b.rs`", "").len(), 1);
    }
}
