//! The host's identity at the control plane: one current pair of worker id and runtime token, shared by all lanes.

mod cache;
mod cell;

pub(crate) use cache::CredentialCache;
pub(crate) use cell::{CredentialCell, Credentials, Life};
