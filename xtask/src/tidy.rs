//! `cargo xtask tidy`: the rules of the house.
//!
//! Each rule looks at text, so that it can say file and line. What the compiler and clippy can check is left to them.

mod links;
mod sources;
mod words;

use crate::shell;
use crate::task::{Finding, TaskError, verdict};
use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Path from the root.
    pub(crate) path: PathBuf,
    /// Content.
    pub(crate) text: String,
}

impl TextFile {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|e| e == extension)
    }

    /// A finding at a line of this file.
    pub(crate) fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding::new(format!("{}:{line}", self.path.display()), message)
    }
}

/// Checks the tree.
pub(crate) fn run() -> Result<(), TaskError> {
    let files = load()?;
    let sources: Vec<&TextFile> = files.iter().filter(|file| file.has_extension("rs")).collect();
    let documents: Vec<&TextFile> = files.iter().filter(|file| file.has_extension("md")).collect();
    let mut findings: Vec<Finding> = sources.iter().flat_map(|file| sources::check(file)).collect();
    findings.extend(files.iter().flat_map(words::check));
    findings.extend(links::check(&documents, &sources, &|path| shell::root().join(path).exists()));
    verdict(findings)?;
    println!("tidy: {} source files and {} documents follow the rules", sources.len(), documents.len());
    Ok(())
}

fn load() -> Result<Vec<TextFile>, TaskError> {
    let mut files = Vec::new();
    for path in shell::files()?.into_iter().filter(|path| is_text(path)) {
        let text = shell::read(&shell::root().join(&path))?;
        files.push(TextFile { path, text });
    }
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let known = ["rs", "md", "toml", "sh", "sql", "yaml", "yml", "json", "txt"];
    path.extension().is_some_and(|e| known.iter().any(|k| e == *k)) || name == "run"
}
