//! How a control plane is reached where the system's own settings do not say it.

use crate::http::Timeouts;

/// Options of a client. The default is what the system says: its certificates, and its proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// Certificates of authorities, PEM, that are trusted besides those of the system; empty: none.
    pub root_certificates: Vec<u8>,
    /// Proxy (`http://` or `https://` URL) for all calls, also those to this machine, instead of that of the system.
    pub proxy: Option<String>,
}
