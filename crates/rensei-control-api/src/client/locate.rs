//! Finding the daemon of this machine, and the token that it may want.

use super::ControlClient;
use super::error::ControlError;
use super::http::names_loopback;
use rensei_proto::Secret;
use rensei_proto::control::DEFAULT_PORT;
use std::collections::BTreeMap;
use std::path::Path;

/// File in the state root with the address of the daemon that runs, or ran last.
const ADDRESS_FILE: &str = "control-url";
/// File in the state root with the token of a daemon with `control.auth: token`.
const TOKEN_FILE: &str = "control-token";
/// Longest such file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// Where to look for a daemon.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whereabouts<'a> {
    /// Its URL, when somebody said so. Wins over everything else.
    pub url: Option<&'a str>,
    /// Snapshot of the environment: `RENSEI_DAEMON_URL`, `RENSEI_CONTROL_TOKEN`, `RENSEI_CONTROL_TOKEN_FILE`, or the same
    /// with `DONMAI_`.
    pub environment: Option<&'a BTreeMap<String, String>>,
    /// Its state directory, where it leaves its address and its token.
    pub state_root: Option<&'a Path>,
}

impl ControlClient {
    /// A client of the daemon that is said, else named by the environment, else in the state directory, else on the usual
    /// port. Nothing is sent.
    ///
    /// # Errors
    /// [`ControlError::InvalidUrl`] when the URL found is not `http://` with a host.
    pub fn locate(whereabouts: &Whereabouts<'_>) -> Result<Self, ControlError> {
        let client = Self::new(&whereabouts.url())?;
        Ok(match whereabouts.token(client.url()) {
            Some(token) => client.bearer(&token),
            None => client,
        })
    }
}

impl Whereabouts<'_> {
    fn url(&self) -> String {
        let said = self.url.map(str::to_owned);
        let named = || said.or_else(|| self.variable("DAEMON_URL"));
        let left = || self.file(ADDRESS_FILE);
        named().or_else(left).unwrap_or_else(|| format!("http://127.0.0.1:{DEFAULT_PORT}"))
    }

    /// The token; that of the state directory goes to this machine only.
    fn token(&self, url: &str) -> Option<Secret> {
        let named = || self.variable("CONTROL_TOKEN_FILE").and_then(|path| text(Path::new(&path)));
        let left = || names_loopback(url).then(|| self.file(TOKEN_FILE)).flatten();
        self.variable("CONTROL_TOKEN").or_else(named).or_else(left).map(Secret::from)
    }

    fn variable(&self, suffix: &str) -> Option<String> {
        let environment = self.environment?;
        let value = |prefix: &str| environment.get(&format!("{prefix}{suffix}")).filter(|value| !value.is_empty());
        value("RENSEI_").or_else(|| value("DONMAI_")).cloned()
    }

    fn file(&self, name: &str) -> Option<String> {
        text(&self.state_root?.join(name))
    }
}

/// The text of a small file; one that is not there or not ours to read is none.
fn text(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn said_then_named_then_left_then_usual() {
        let state = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([
            ("RENSEI_DAEMON_URL".to_owned(), String::new()),
            ("DONMAI_DAEMON_URL".to_owned(), "http://127.0.0.1:2".to_owned()),
        ]);
        let mut found = Whereabouts { state_root: Some(state.path()), ..Whereabouts::default() };
        assert_eq!(ControlClient::locate(&found).unwrap().url(), "http://127.0.0.1:7734");
        std::fs::write(state.path().join(ADDRESS_FILE), "http://127.0.0.1:3\n").unwrap();
        assert_eq!(ControlClient::locate(&found).unwrap().url(), "http://127.0.0.1:3");
        found.environment = Some(&environment);
        assert_eq!(ControlClient::locate(&found).unwrap().url(), "http://127.0.0.1:2");
        found.url = Some("http://127.0.0.1:1");
        assert_eq!(ControlClient::locate(&found).unwrap().url(), "http://127.0.0.1:1");
        found.url = Some("nonsense");
        assert!(matches!(ControlClient::locate(&found), Err(ControlError::InvalidUrl { .. })));
    }

    #[test]
    fn the_token_of_this_machine_stays_on_it() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join(TOKEN_FILE), "left\n").unwrap();
        let found = Whereabouts { state_root: Some(state.path()), ..Whereabouts::default() };
        assert_eq!(found.token("http://127.0.0.1:1").unwrap().expose(), "left");
        assert_eq!(found.token("http://[::1]:1").unwrap().expose(), "left");
        for elsewhere in ["http://10.0.0.1:1", "http://example.com", "http://127.0.0.1.example.com"] {
            assert!(found.token(elsewhere).is_none(), "{elsewhere}");
        }
        let environment = BTreeMap::from([("RENSEI_CONTROL_TOKEN".to_owned(), "named".to_owned())]);
        let named = Whereabouts { environment: Some(&environment), ..found };
        assert_eq!(named.token("http://10.0.0.1:1").unwrap().expose(), "named");
    }
}
