//! Whom a session command asks.

use crate::args::session::{PlatformArgs, TargetArgs};
use crate::commands::Context;
use crate::commands::host::client::HostClient;
use crate::error::{CommandError, CommandResult};
use rensei_platform_client::{ClientError, Operation, OperatorClient};
use rensei_proto::Secret;

/// Whom a session command asks.
#[derive(Debug)]
pub(super) enum Target {
    /// A control plane.
    Platform(Platform),
    /// The daemon of this machine.
    Host(HostClient),
}

/// A control plane and how to name it.
#[derive(Debug)]
pub(super) struct Platform {
    /// Its client.
    pub(super) client: OperatorClient,
    /// Its URL.
    pub(super) url: String,
}

impl Target {
    /// The control plane if one is configured, else the daemon of this machine.
    pub(super) fn choose(context: &Context, args: &TargetArgs) -> CommandResult<Self> {
        let address_given = args.address.host.is_some() || args.address.port.is_some();
        let host_meant = args.local || (address_given && args.platform.url.is_none());
        match url(context, &args.platform) {
            Some(url) if !host_meant => Platform::new(context, &args.platform, url).map(Self::Platform),
            _ => {
                let host = HostClient::new(context, &args.address)?;
                let otherwise =
                    "or ask a control plane: pass --url and --api-key, or set RENSEI_API_URL and RENSEI_API_TOKEN";
                Ok(Self::Host(if host_meant { host } else { host.otherwise(otherwise) }))
            }
        }
    }
}

impl Platform {
    /// The configured control plane, which must be there.
    pub(super) fn required(context: &Context, args: &PlatformArgs) -> CommandResult<Self> {
        let Some(url) = url(context, args) else {
            return Err(CommandError::usage("no control plane is configured")
                .hint("pass --url and --api-key, or set RENSEI_API_URL and RENSEI_API_TOKEN")
                .hint("to start one: `rensei platform init --project <slug> --repository <url>`")
                .hint("to run on this host without one: `rensei session run`"));
        };
        Self::new(context, args, url)
    }

    fn new(context: &Context, args: &PlatformArgs, url: String) -> CommandResult<Self> {
        let key = args.api_key.as_deref().or_else(|| context.env.ours("API_TOKEN"));
        let Some(key) = key else {
            return Err(CommandError::usage(format!("no API key for the control plane at {url}"))
                .hint("pass --api-key or set RENSEI_API_TOKEN; `rensei platform init` prints the key"));
        };
        let client = OperatorClient::new(&url, Secret::from(key)).map_err(|error| failed(error, &url))?;
        Ok(Self { client, url })
    }

    /// A failed call, with the next step.
    pub(super) fn error(&self, error: ClientError) -> CommandError {
        failed(error, &self.url)
    }
}

fn url(context: &Context, args: &PlatformArgs) -> Option<String> {
    args.url.clone().or_else(|| context.env.ours("API_URL").map(str::to_owned))
}

fn failed(error: ClientError, url: &str) -> CommandError {
    let hint = match &error {
        ClientError::Transport { .. } => {
            Some(format!("check that a control plane listens on {url}; `rensei platform serve` starts one"))
        }
        ClientError::Status { status: 401 | 403, .. } => Some(
            "check --api-key or RENSEI_API_TOKEN; `rensei platform init` prints the key of a new organisation"
                .to_owned(),
        ),
        ClientError::Status { status: 404, operation, .. } => {
            let next = match operation {
                Operation::CreateSession => {
                    "check --project; `rensei platform init --project <slug>` makes one".to_owned()
                }
                // A list is always there, on a control plane.
                Operation::ListSessions => {
                    format!("check --url or RENSEI_API_URL: {url} does not look like a control plane")
                }
                _ => "see what is there: `rensei session list`".to_owned(),
            };
            error.hint().or(Some(next))
        }
        _ => error.hint(),
    };
    CommandError::failure(error).maybe_hint(hint)
}
