//! Calls about kits.

use super::http::Request;
use super::{ControlClient, ControlError};
use rensei_proto::control::{
    KitDetail, KitEnvelope, KitInstallRequest, KitInstallResult, KitList, KitSettings, KitSignature, KitSourceList,
    KitSourceToggle, KitSummary,
};
use std::fmt::Write as _;
use std::time::Duration;

/// Time for an installation, which fetches: more than the daemon allows itself.
const INSTALL: Duration = Duration::from_secs(150);

impl ControlClient {
    /// All kits, by id.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn kits(&self) -> Result<KitList, ControlError> {
        self.ask(Request::get("/api/daemon/kits")).await
    }

    /// One kit in full.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn kit(&self, id: &str) -> Result<KitDetail, ControlError> {
        self.ask(Request::get(path(id, ""))).await.map(|answer: KitEnvelope| answer.kit)
    }

    /// What is known of a kit's signature.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn verify_kit(&self, id: &str) -> Result<KitSignature, ControlError> {
        self.ask(Request::get(path(id, "/verify-signature"))).await
    }

    /// Installs a kit. May take as long as a fetch does.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn install_kit(&self, id: &str, request: &KitInstallRequest) -> Result<KitInstallResult, ControlError> {
        self.http.ask(Request::post(path(id, "/install")).json(request), INSTALL).await
    }

    /// Switches a kit on or off.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn set_kit_enabled(&self, id: &str, enabled: bool) -> Result<KitSummary, ControlError> {
        self.ask(Request::post(path(id, if enabled { "/enable" } else { "/disable" }))).await
    }

    /// Where kits come from.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn kit_sources(&self) -> Result<KitSourceList, ControlError> {
        self.ask(Request::get("/api/daemon/kit-sources")).await
    }

    /// Switches a source on or off.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn set_kit_source_enabled(&self, name: &str, enabled: bool) -> Result<KitSourceToggle, ControlError> {
        let verb = if enabled { "enable" } else { "disable" };
        self.ask(Request::post(format!("/api/daemon/kit-sources/{}/{verb}", encoded(name, false)))).await
    }

    /// What a worker needs to find the kits of its host.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn kit_settings(&self) -> Result<KitSettings, ControlError> {
        self.ask(Request::get("/api/daemon/kit-settings")).await
    }
}

fn path(id: &str, action: &str) -> String {
    format!("/api/daemon/kits/{}{action}", encoded(id, true))
}

/// Percent-encodes what has a meaning in a path. A segment of dots would be taken for a way up.
fn encoded(text: &str, slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let dots = text.split('/').any(|segment| matches!(segment, "." | ".."));
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'+' | b':');
        if plain || (byte == b'/' && slashes) || (byte == b'.' && !dots) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_slashes_and_nothing_else_of_a_path() {
        assert_eq!(path("spring/java-1.0", "/install"), "/api/daemon/kits/spring/java-1.0/install");
        assert_eq!(path("a b?c#d%", ""), "/api/daemon/kits/a%20b%3Fc%23d%25");
        assert_eq!(path("../x", ""), "/api/daemon/kits/%2E%2E/x");
        assert_eq!(encoded("a/b", false), "a%2Fb");
    }
}
