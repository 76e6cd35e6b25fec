//! How the pool behaves.

use std::time::Duration;

/// What a pool carries over and when it lets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Bytes that idle checkouts may take; 0: any.
    pub max_idle_bytes: u64,
    /// Longest that a checkout is handed on.
    pub max_age: Duration,
    /// Names of ignored files and directories that stay for the next session, such as `node_modules`.
    pub keep: Vec<String>,
    /// Names that go although something around them stays, such as `node_modules/.cache`.
    pub clean: Vec<String>,
    /// Percentage of disk or inodes from which the host is warned.
    pub warn_percent: u8,
    /// Percentage of disk or inodes from which no workarea is made.
    pub refuse_percent: u8,
}

impl Default for PoolSettings {
    fn default() -> Self {
        let clean = [".next", ".turbo", "node_modules/.cache", "dist", "coverage"];
        Self {
            max_idle_bytes: 0,
            max_age: Duration::from_secs(24 * 3600),
            keep: Vec::new(),
            clean: clean.map(str::to_owned).to_vec(),
            warn_percent: 80,
            refuse_percent: 90,
        }
    }
}
