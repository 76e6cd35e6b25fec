//! Bytes of one file from here to there.

use rustix::fs::Stat;
use rustix::io::{Errno, Result, retry_on_intr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Smaller files are not worth a call that may fail.
const SHARED_FROM: u64 = 16 << 10;
/// Smaller files go through a buffer, in one read and one write.
const BUFFER: usize = 128 << 10;

/// How contents are copied; learns what the file system can do.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Files cannot share their blocks here.
    no_sharing: AtomicBool,
}

impl Contents {
    /// Copies what is in `from`, whose state is `stat`, into the empty file `to`. The answer is the size of `to`.
    pub(super) fn copy(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
        buffer: &mut Vec<u8>,
    ) -> Result<u64> {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if size >= SHARED_FROM && self.share(from, to) {
            return Ok(size);
        }
        let on_disk = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512);
        if on_disk < size && size > BUFFER as u64 {
            return copy_data(from, to, size, buffer);
        }
        if size > BUFFER as u64 {
            return copy_range(from, to, size, buffer);
        }
        copy_buffered(from, to, u64::MAX, buffer)
    }

    /// Lets both files have the same blocks, where the file system can.
    #[cfg(target_os = "linux")]
    fn share(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
        if self.no_sharing.load(Ordering::Relaxed) {
            return false;
        }
        let shared = rustix::fs::ioctl_ficlone(to, from).is_ok();
        if !shared {
            self.no_sharing.store(true, Ordering::Relaxed);
        }
        shared
    }

    #[cfg(not(target_os = "linux"))]
    fn share(&self, _from: BorrowedFd<'_>, _to: BorrowedFd<'_>) -> bool {
        self.no_sharing.store(true, Ordering::Relaxed);
        false
    }
}

/// Copies up to `limit` bytes from where both files stand.
fn copy_buffered(from: impl AsFd, to: impl AsFd, limit: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    buffer.resize(BUFFER, 0);
    let mut copied = 0;
    while copied < limit {
        let wanted = usize::try_from(limit - copied).unwrap_or(BUFFER).min(BUFFER);
        let read = retry_on_intr(|| rustix::io::read(&from, &mut buffer[..wanted]))?;
        let mut written = 0;
        while written < read {
            written += retry_on_intr(|| rustix::io::write(&to, &buffer[written..read]))?;
        }
        copied += read as u64;
        // A short read of a regular file is its end; one that grows meanwhile is copied as far as it was.
        if read < wanted {
            break;
        }
    }
    Ok(copied)
}

/// Copies within the kernel.
#[cfg(target_os = "linux")]
fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    let mut copied = 0;
    while copied < size {
        let wanted = usize::try_from(size - copied).unwrap_or(usize::MAX);
        match retry_on_intr(|| rustix::fs::copy_file_range(from, None, to, None, wanted)) {
            Ok(0) => break,
            Ok(more) => copied += more as u64,
            Err(Errno::NOSYS | Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => {
                return Ok(copied + copy_buffered(from, to, size - copied, buffer)?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(copied)
}

#[cfg(not(target_os = "linux"))]
fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    copy_buffered(from, to, size, buffer)
}

/// Copies what has data and leaves the holes, so that a file of a terabyte of nothing stays one.
#[cfg(target_os = "linux")]
fn copy_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    use rustix::fs::{SeekFrom, ftruncate, seek};
    ftruncate(to, size)?;
    let mut at = 0;
    while at < size {
        let begin = match seek(from, SeekFrom::Data(at)) {
            Ok(begin) => begin.min(size),
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        let end = seek(from, SeekFrom::Hole(begin))?.clamp(begin, size);
        seek(from, SeekFrom::Start(begin))?;
        seek(to, SeekFrom::Start(begin))?;
        copy_range(from, to, end - begin, buffer)?;
        at = end.max(at + 1);
    }
    Ok(size)
}

#[cfg(not(target_os = "linux"))]
fn copy_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    copy_buffered(from, to, size, buffer)
}
