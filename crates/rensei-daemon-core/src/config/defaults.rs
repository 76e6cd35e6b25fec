//! Values of keys that a file leaves out.

pub(super) const API_VERSION: &str = "rensei.dev/v1";
pub(super) const KIND: &str = "LocalDaemon";
pub(super) const MAX_SESSIONS: u32 = 8;
pub(super) const VCPU_PER_SESSION: u32 = 4;
pub(super) const MEMORY_MB_PER_SESSION: u32 = 8192;
pub(super) const RESERVED_VCPU: u32 = 4;
pub(super) const RESERVED_MEMORY_MB: u32 = 16384;
/// No limit.
pub(super) const POOL_DISK_GB: u32 = 0;
pub(super) const DRAIN_SECONDS: u64 = 600;
pub(super) const DIFF_STREAMING_THRESHOLD: u32 = 1000;
pub(super) const ARCHIVE_AGE_DAYS: u32 = 30;
pub(super) const ARCHIVE_COUNT: u32 = 100;
pub(super) const ARCHIVE_DISK_GB: u32 = 20;
pub(super) const MAX_AGE_HOURS: u32 = 24;
/// Region of a host without a file.
pub(super) const REGION: &str = "local";
