//! The daemon of this machine, as the other commands see it.

use crate::args::daemon::AddressArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::state_root;
use rensei_control_api::{ControlClient, ControlError, OutputQuery, Whereabouts};
use rensei_proto::SessionId;
use rensei_proto::control::DEFAULT_PORT;

/// Client of the control API whose errors name the next step.
#[derive(Debug)]
pub(crate) struct HostClient {
    client: ControlClient,
    url: String,
    /// What else to try when nothing listens.
    otherwise: Option<&'static str>,
    /// What to look at when the daemon does not know what was asked for.
    missing: &'static str,
}

impl HostClient {
    /// The daemon at the given address, else the one that the environment names, else the one of the state root.
    pub(crate) fn new(context: &Context, address: &AddressArgs) -> CommandResult<Self> {
        let (said, environment) = (said(address), context.env.strings());
        // Without a home there is no state root to look into, and no need for one.
        let root = state_root::resolve(&context.env).ok().map(|root| root.path);
        let places = Whereabouts { url: said.as_deref(), environment: Some(&environment), state_root: root.as_deref() };
        let client = ControlClient::locate(&places).map_err(|error| {
            CommandError::usage(format!("cannot use the daemon's address: {error}"))
                .hint("use --host and --port, or set RENSEI_DAEMON_URL to a URL such as http://127.0.0.1:7734")
        })?;
        let url = client.url().to_owned();
        Ok(Self { client, url, otherwise: None, missing: "see what is there: `rensei session list --local`" })
    }

    /// Adds what else to try when nothing listens.
    pub(crate) fn otherwise(mut self, hint: &'static str) -> Self {
        self.otherwise = Some(hint);
        self
    }

    /// Replaces what to look at when the daemon does not know what was asked for.
    pub(crate) fn missing(mut self, hint: &'static str) -> Self {
        self.missing = hint;
        self
    }

    /// Base URL of the control API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The answer to one call of the control API. Every command goes through here, so that every failure has a next
    /// step: `host.ask(async |api| api.pause().await).await?`.
    pub(crate) async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(&ControlClient) -> Result<T, ControlError>,
    ) -> CommandResult<T> {
        call(&self.client).await.map_err(|error| self.failed(error))
    }

    /// As [`ask`](Self::ask) about one thing: when the daemon does not know it, the error is `missing`.
    pub(crate) async fn ask_about<T>(
        &self,
        missing: impl FnOnce() -> String,
        call: impl AsyncFnOnce(&ControlClient) -> Result<T, ControlError>,
    ) -> CommandResult<T> {
        match call(&self.client).await {
            Err(error) if error.http_status() == Some(404) => Err(CommandError::failure(missing()).hint(self.missing)),
            answer => answer.map_err(|error| self.failed(error)),
        }
    }

    /// As [`ask`](Self::ask), with `None` when nothing listens.
    pub(crate) async fn ask_if_running<T>(
        &self,
        call: impl AsyncFnOnce(&ControlClient) -> Result<T, ControlError>,
    ) -> CommandResult<Option<T>> {
        match call(&self.client).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ControlError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Hands the raw output of a session to `show`, as it comes.
    pub(crate) async fn output(
        &self,
        id: &SessionId,
        query: OutputQuery,
        mut show: impl FnMut(&[u8]) -> CommandResult,
    ) -> CommandResult {
        let missing = || format!("session not found: {id}");
        let mut chunks = self.ask_about(missing, async |api| api.output(id, query).await).await?;
        while let Some(chunk) = chunks.next_chunk().await {
            show(&chunk.map_err(|error| self.failed(error))?)?;
        }
        Ok(())
    }

    /// A failed call, with the next step.
    fn failed(&self, error: ControlError) -> CommandError {
        let refused = error.http_status().map(|status| match status {
            404 => self.missing.to_owned(),
            status => next_step(status).to_owned(),
        });
        let otherwise = self.otherwise.filter(|_| matches!(error, ControlError::NotRunning { .. }));
        let hint = error.hint();
        // What the daemon advises, and a command to type if it names none.
        let refused = refused.filter(|_| !hint.as_ref().is_some_and(|hint| hint.contains("`rensei ")));
        CommandError::failure(error).maybe_hint(hint).maybe_hint(refused).maybe_hint(otherwise)
    }
}

/// The address that the flags name, if they name one.
fn said(address: &AddressArgs) -> Option<String> {
    if address.host.is_none() && address.port.is_none() {
        return None;
    }
    let host = address.host.as_deref().unwrap_or("127.0.0.1");
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    Some(format!("http://{host}:{}", address.port.unwrap_or(DEFAULT_PORT)))
}

/// What to do about a refusal that does not say so itself.
const fn next_step(status: u16) -> &'static str {
    match status {
        400 => "see what this host serves: `rensei host stats`",
        502 => {
            "see whether git can read the repository: `git ls-remote <url>`; what the daemon did: `rensei host logs`"
        }
        409 | 503 => "see what the daemon does: `rensei host status`",
        _ => "see the daemon's log: `rensei host logs`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::{ColorChoice, Output};

    #[test]
    fn flags_win_over_the_environment() {
        let env = Environment::from([("DONMAI_DAEMON_URL", "http://127.0.0.1:9/")]);
        let output = Output::new(ColorChoice::Never, &env);
        let context = Context { env, output, verbose: 0 };
        let address = |host: Option<&str>, port| AddressArgs { host: host.map(str::to_owned), port };
        let url = |address| HostClient::new(&context, &address).unwrap().url().to_owned();
        assert_eq!(url(address(None, None)), "http://127.0.0.1:9");
        assert_eq!(url(address(None, Some(8))), "http://127.0.0.1:8");
        assert_eq!(url(address(Some("::1"), None)), "http://[::1]:7734");
    }
}
