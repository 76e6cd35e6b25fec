//! The repositories that are measured on.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Repositories below a scratch directory.
#[derive(Debug)]
pub(crate) struct Data {
    /// Bare, with many files and two commits.
    pub(crate) large: PathBuf,
    /// Bare, four with a tenth of the files each.
    pub(crate) small: Vec<PathBuf>,
    pub(crate) files: usize,
}

impl Data {
    pub(crate) fn make(scratch: &Path, files: usize) -> Self {
        let large = import(&scratch.join("large.git"), files);
        let small = (0..4).map(|number| import(&scratch.join(format!("small{number}.git")), files / 10)).collect();
        Self { large, small, files }
    }
}

/// Path of the file with this number: twenty to a directory, as in real trees.
pub(crate) fn name(number: usize) -> String {
    format!("src/m{}/n{}/file{number}.rs", number / 400, number / 20)
}

fn import(path: &Path, files: usize) -> PathBuf {
    git(&std::env::temp_dir(), &["init", "-q", "--bare", "-b", "main", &path.display().to_string()]);
    let mut importer = Command::new("git");
    importer.current_dir(path).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut child = importer.spawn().expect("git starts");
    let mut stream = BufWriter::new(child.stdin.take().expect("stdin is a pipe"));
    let commits = [("first", 1), ("second", 100)];
    for (message, step) in commits {
        let length = message.len();
        let head = format!(
            "commit refs/heads/main\ncommitter B <b@example.invalid> 1700000000 +0000\ndata {length}\n{message}\n"
        );
        stream.write_all(head.as_bytes()).expect("git reads");
        for number in (0..files).step_by(step) {
            let content = content(number, message);
            write!(stream, "M 100644 inline {}\ndata {}\n{content}\n", name(number), content.len()).expect("git reads");
        }
    }
    drop(stream);
    assert!(child.wait().expect("git ends").success(), "git fast-import failed");
    path.to_owned()
}

/// About six kilobytes of text that compresses like source code does.
fn content(number: usize, message: &str) -> String {
    let mut state = number as u64 * 2_654_435_761 + message.len() as u64;
    let mut text = format!("// {message} {number}\n");
    for _ in 0..(40 + number % 240) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("    let value_{} = compute(&input, {});\n", state >> 54, state >> 40));
    }
    text
}

/// Runs git and expects it to succeed.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(dir).args(args).output().expect("git starts");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
