//! What a daemon leaves in its state root for clients of its control API: its address and its token.

use crate::state::write_atomic;
use rensei_proto::Secret;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Its file in the state root.
pub(crate) const FILE: &str = "control-token";
/// File in the state root with the address of the control API.
const ADDRESS_FILE: &str = "control-url";
/// Random bytes in it.
const BYTES: usize = 32;

/// The token in the state root, minted when there is none that nobody else could have read.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn load_or_mint(state_root: &Path) -> io::Result<Secret> {
    let path = state_root.join(FILE);
    if let Some(token) = kept(&path)? {
        return Ok(token);
    }
    let mut random = [0_u8; BYTES];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let token = random.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    });
    write_atomic(&path, format!("{token}\n").as_bytes())?;
    Ok(Secret::from(token))
}

/// Says where the control API is, for clients that know the state root only.
pub(crate) fn leave_address(state_root: &Path, url: &str) {
    if let Err(error) = write_atomic(&state_root.join(ADDRESS_FILE), format!("{url}\n").as_bytes()) {
        tracing::warn!(%error, "the address of the control API could not be written down");
    }
}

/// The token in the file, if it is one and others could not read it.
fn kept(path: &Path) -> io::Result<Option<Secret>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let private = metadata.is_file() && metadata.permissions().mode() & 0o077 == 0 && metadata.len() < 1024;
    if !private {
        return Ok(None);
    }
    let text = fs::read_to_string(path)?;
    let token = text.trim();
    let whole = token.len() == BYTES * 2 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(whole.then(|| Secret::from(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_once_private_and_again_when_it_was_exposed_or_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let first = load_or_mint(dir.path()).unwrap();
        assert_eq!((first.expose().len(), load_or_mint(dir.path()).unwrap() == first), (64, true));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let second = load_or_mint(dir.path()).unwrap();
        assert_ne!(second, first, "others may have read it");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short\n").unwrap();
        assert_ne!(load_or_mint(dir.path()).unwrap(), second);
    }
}
