//! How full the disk is.

use rustix::fs::StatVfs;
use std::io;
use std::path::Path;

/// Share of a file system that is taken, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pressure {
    /// Of the bytes that this user may have.
    pub(crate) bytes: u8,
    /// Of the inodes; 0 where there is no limit.
    pub(crate) inodes: u8,
}

/// Pressure on the file system of `path`, or of the nearest directory above it that exists.
pub(crate) fn pressure(path: &Path) -> io::Result<Pressure> {
    Ok(Pressure::of(&stat(path)?))
}

/// What is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    bytes: u64,
    inodes: u64,
}

impl Room {
    /// On the file system of `path`, or of the nearest directory above it that exists.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let stat = stat(path)?;
        Ok(Self { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), inodes: stat.f_favail })
    }

    /// Whether so many bytes are free.
    pub(crate) const fn has(self, bytes: u64) -> bool {
        self.bytes >= bytes
    }

    /// Whether it is so much more that what did not fit then may fit now.
    pub(crate) const fn is_more_than(self, then: Self) -> bool {
        self.bytes > then.bytes.saturating_add(then.bytes / 8)
            || self.inodes > then.inodes.saturating_add(then.inodes / 8)
    }
}

fn stat(path: &Path) -> io::Result<StatVfs> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    Ok(rustix::fs::statvfs(existing)?)
}

impl Pressure {
    fn of(stat: &StatVfs) -> Self {
        let taken = stat.f_blocks.saturating_sub(stat.f_bfree);
        let inodes = stat.f_files.saturating_sub(stat.f_ffree);
        Self { bytes: percent(taken, stat.f_bavail), inodes: percent(inodes, stat.f_favail) }
    }

    pub(crate) fn reaches(self, limit: u8) -> bool {
        self.bytes >= limit || self.inodes >= limit
    }
}

/// As `df` has it: what is reserved for others counts as neither.
fn percent(taken: u64, free: u64) -> u8 {
    let total = u128::from(taken) + u128::from(free);
    if total == 0 {
        return 0;
    }
    u8::try_from((u128::from(taken) * 100).div_ceil(total)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        for (taken, free, expected) in
            [(0, 0, 0), (0, 9, 0), (1, 0, 100), (1, 999, 1), (90, 10, 90), (u64::MAX, u64::MAX, 50)]
        {
            assert_eq!(percent(taken, free), expected, "{taken} {free}");
        }
        let pressure = Pressure { bytes: 40, inodes: 91 };
        assert!(pressure.reaches(90) && pressure.reaches(91) && !pressure.reaches(92));
        let below_tmp = std::env::temp_dir().join("no/such/directory");
        assert!(super::pressure(&below_tmp).is_ok());
    }
}
