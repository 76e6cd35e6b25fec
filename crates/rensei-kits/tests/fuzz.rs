//! The entry points of the fuzz targets, over their corpus and random mutations of it.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_kits::fuzzing;
use std::path::PathBuf;

/// Enough to be worth it, and few enough for every run of the tests.
const MUTATIONS: u32 = 400;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<Vec<u8>> = files.collect();
    assert!(!files.is_empty());
    files
}

/// The same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound.max(1)
    }

    /// Cut, repeated, swapped, or with other bytes in it.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let (from, to) = (self.below(bytes.len()), self.below(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        match self.below(6) {
            0 => bytes.truncate(from),
            1 => drop(bytes.drain(from..to)),
            2 => bytes.extend_from_within(from..to),
            3 => bytes.swap(from, to),
            4 => bytes.insert(from, b"[]{}=\"'\\\n\0,.#\xff"[self.below(14)]),
            _ => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }
}

fn run(target: &str, entry: fn(&[u8])) {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for file in corpus(target) {
        entry(&file);
        for _ in 0..MUTATIONS {
            let mut bytes = file.clone();
            for _ in 0..=numbers.below(4) {
                if bytes.is_empty() {
                    break;
                }
                numbers.mutate(&mut bytes);
            }
            entry(&bytes);
        }
    }
    entry(b"");
}

#[test]
fn any_bytes_are_a_manifest_or_refused() {
    run("manifest", fuzzing::manifest);
}

#[test]
fn no_bytes_are_a_signature_of_what_nobody_signed() {
    run("bundle", fuzzing::bundle);
}
