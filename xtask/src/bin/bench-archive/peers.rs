//! What the machine's own tools take for the same.

use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs a program that must end with one of these codes.
pub(crate) fn run(program: &str, args: &[&str], codes: &[i32]) {
    let output = Command::new(program).args(args).output().expect("the program starts");
    let code = output.status.code().unwrap_or(-1);
    assert!(codes.contains(&code), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `cp -a` of everything in a directory, by two processes that share its entries.
pub(crate) fn copy_by_two(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("the scratch directory is writable");
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(from).expect("it was made").flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let halves: Vec<Vec<&PathBuf>> = (0..2).map(|half| entries.iter().skip(half).step_by(2).collect()).collect();
    std::thread::scope(|scope| {
        for half in halves {
            scope.spawn(move || {
                let status = Command::new("cp").arg("-a").args(half).arg(to).status().expect("cp starts");
                assert!(status.success(), "cp -a failed");
            });
        }
    });
}

/// Reads and hashes all files of both trees on two threads.
pub(crate) fn hash(trees: [&Path; 2]) {
    let mut files = Vec::new();
    for tree in trees {
        let mut pending = vec![tree.to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).expect("it was made").flatten() {
                let below = if entry.file_type().expect("it is there").is_dir() { &mut pending } else { &mut files };
                below.push(entry.path());
            }
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; 64 << 10];
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut file = std::fs::File::open(path).expect("it is there");
            let mut hash = Sha256::new();
            while let Ok(read @ 1..) = file.read(&mut buffer) {
                hash.update(&buffer[..read]);
            }
            std::hint::black_box(hash.finalize());
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}
