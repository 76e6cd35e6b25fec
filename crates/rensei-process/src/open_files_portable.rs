//! Nobody can set the limit of another process here, so that of this one stays as it is.

use std::io;

/// Nothing happens here: children could not be given the limit that was in force before.
///
/// # Errors
/// None.
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub const fn raise_open_files() -> io::Result<()> {
    Ok(())
}

/// Nothing happens here: nothing was raised.
pub const fn give_former_open_files(_pid: u32) {}
