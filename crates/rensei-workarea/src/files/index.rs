//! Git's index, version 2: what it says of every file, and the stat data by which the file is recognised.
//!
//! Written by hand because libgit2 takes longer to fill an index of 20,000 files than it takes to write the files.

use super::items::Item;
use git2::Oid;
use sha1::{Digest, Sha1};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const HEADER: usize = 12;
const FIXED: usize = 62;
const CHECKSUM: usize = 20;
/// Largest index that is read: two million files with names of average length.
const MAX_BYTES: u64 = 256 << 20;

/// What identifies a file that nobody touched, with the width that the index has for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    ctime: (u32, u32),
    mtime: (u32, u32),
    device: u32,
    inode: u32,
    owner: u32,
    group: u32,
    size: u32,
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            ctime: (low(metadata.ctime().cast_unsigned()), low(metadata.ctime_nsec().cast_unsigned())),
            mtime: (low(metadata.mtime().cast_unsigned()), low(metadata.mtime_nsec().cast_unsigned())),
            device: low(metadata.dev()),
            inode: low(metadata.ino()),
            owner: metadata.uid(),
            group: metadata.gid(),
            size: low(metadata.size()),
        }
    }

    /// Whether the file was still being written when the clock showed what it shows on `other`: then a later change
    /// may have left the same stat data.
    fn is_as_young_as(&self, other: &Self) -> bool {
        self.ctime >= other.mtime
    }
}

/// The lower half, which is what an index has room for.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low(value: u64) -> u32 {
    value as u32
}

/// A tree as it was when its files had been written.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    entries: Vec<(Item, Stat)>,
}

impl Snapshot {
    pub(crate) fn new(entries: Vec<(Item, Stat)>) -> Self {
        Self { entries }
    }

    pub(crate) fn entries(&self) -> &[(Item, Stat)] {
        &self.entries
    }

    /// Sizes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|(_, stat)| u64::from(stat.size)).sum()
    }

    /// The bytes of a git index.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let size: usize = self.entries.iter().map(|(item, _)| padded(item.path.len())).sum();
        let mut bytes = Vec::with_capacity(HEADER + size + CHECKSUM);
        bytes.extend_from_slice(b"DIRC");
        bytes.extend_from_slice(&2_u32.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        for (item, stat) in &self.entries {
            write_entry(&mut bytes, item, stat);
        }
        let checksum = Sha1::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote to `path`; none when it is damaged. What was written in the same
    /// tick of the clock as the file itself gets stat data that nothing has.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let metadata = std::fs::symlink_metadata(path)?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Ok(None);
        }
        let written = Stat::of(&metadata);
        let Some(mut snapshot) = Self::parse(&std::fs::read(path)?) else { return Ok(None) };
        for (_, stat) in &mut snapshot.entries {
            if stat.is_as_young_as(&written) {
                *stat = Stat::default();
            }
        }
        Ok(Some(snapshot))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        if Sha1::digest(content).as_slice() != checksum || !content.starts_with(b"DIRC\0\0\0\x02") {
            return None;
        }
        let count = word(content, 8)?;
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(content.len() / FIXED));
        let mut rest = content.get(HEADER..)?;
        for _ in 0..count {
            let (entry, length) = read_entry(rest)?;
            entries.push(entry);
            rest = rest.get(length..)?;
        }
        Some(Self { entries })
    }
}

/// Length of an entry with its name and at least one NUL, a multiple of eight.
const fn padded(name: usize) -> usize {
    (FIXED + name + 8) / 8 * 8
}

fn write_entry(bytes: &mut Vec<u8>, item: &Item, stat: &Stat) {
    let begin = bytes.len();
    let Stat { ctime, mtime, device, inode, owner, group, size } = *stat;
    for value in [ctime.0, ctime.1, mtime.0, mtime.1, device, inode, item.mode, owner, group, size] {
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    bytes.extend_from_slice(item.id.as_bytes());
    // Longer names are measured by their end.
    let length = u16::try_from(item.path.len().min(0xfff)).unwrap_or(0xfff);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&item.path);
    bytes.resize(begin + padded(item.path.len()), 0);
}

fn read_entry(bytes: &[u8]) -> Option<((Item, Stat), usize)> {
    let field = |number: usize| word(bytes, number * 4);
    let stat = Stat {
        ctime: (field(0)?, field(1)?),
        mtime: (field(2)?, field(3)?),
        device: field(4)?,
        inode: field(5)?,
        owner: field(7)?,
        group: field(8)?,
        size: field(9)?,
    };
    let id = Oid::from_bytes(bytes.get(40..60)?).ok()?;
    let name = bytes.get(FIXED..)?;
    let path = name[..name.iter().position(|&byte| byte == 0)?].to_vec();
    let length = padded(path.len());
    Some(((Item { path, mode: field(6)?, id }, stat), length))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(names: &[&[u8]]) -> Snapshot {
        let metadata = std::fs::metadata("/").unwrap();
        let entry = |name: &&[u8]| {
            (Item { path: name.to_vec(), mode: 0o100_644, id: Oid::from_bytes(&[7; 20]).unwrap() }, Stat::of(&metadata))
        };
        Snapshot::new(names.iter().map(entry).collect())
    }

    #[test]
    fn git_and_we_read_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let long = vec![b'x'; 4095];
        let names: [&[u8]; 6] = [b"a", b"a\xff", b"b/cccccccc", b"b/d", b"z", &long];
        let mut names = names.to_vec();
        names.sort_unstable();
        let written = snapshot(&names);
        std::fs::write(&path, written.to_bytes()).unwrap();
        let index = git2::Index::open(&path).unwrap();
        assert_eq!(index.iter().map(|entry| entry.path).collect::<Vec<_>>(), names);
        let read = Snapshot::read(&path).unwrap().unwrap();
        assert_eq!(read.entries(), written.entries());
    }

    #[test]
    fn damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let good = snapshot(&[b"a", b"b"]).to_bytes();
        for cut in [0, 1, 19, 20, 40, good.len() - 1] {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(Snapshot::read(&path).unwrap().is_none(), "{cut}");
        }
        let mut flipped = good;
        flipped[30] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(Snapshot::read(&path).unwrap().is_none());
    }

    #[test]
    fn what_is_as_young_as_the_snapshot_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = (dir.path().join("file"), dir.path().join("index"));
        std::fs::write(&file, "x").unwrap();
        let stat = Stat::of(&std::fs::metadata(&file).unwrap());
        let item = Item { path: b"file".to_vec(), mode: 0o100_644, id: Oid::ZERO_SHA1 };
        std::fs::write(&path, Snapshot::new(vec![(item, stat)]).to_bytes()).unwrap();
        let set = |offset: i64| {
            let time = std::fs::metadata(&file).unwrap().modified().unwrap();
            let time = if offset < 0 {
                time - std::time::Duration::from_secs(9)
            } else {
                time + std::time::Duration::from_secs(9)
            };
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            Snapshot::read(&path).unwrap().unwrap().entries()[0].1
        };
        assert_eq!(set(1), stat);
        assert_eq!(set(-1), Stat::default());
    }
}
