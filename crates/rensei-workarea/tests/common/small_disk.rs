//! A small file system, gone when dropped. Only root can have one.
#![expect(clippy::print_stderr, reason = "what is not tested is said")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of `kib` KiB; none, and a word about it, where nothing can be mounted.
    pub(crate) fn mount(at: PathBuf, kib: u64) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={kib}k,mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        eprintln!("SKIPPED: only root may mount a small file system");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn resize(&self, kib: u64) {
        self.remount(&format!("size={kib}k"));
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success(), "{options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test that fails has other worries.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
