//! Why the daemon ends the session, as it left it in the session's directory.

use rensei_process::open_child_file;
use rensei_proto::outcome::{STOP_FILE, StopNotice};
use std::io::Read as _;
use std::path::Path;

/// Largest notice that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The notice, if there is a readable one: whoever ends the worker need not be its daemon.
pub(crate) fn read(dir: &Path) -> Option<StopNotice> {
    let mut bytes = Vec::new();
    open_child_file(&dir.join(STOP_FILE)).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
