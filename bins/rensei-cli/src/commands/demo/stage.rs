//! Control plane and host of a demo, brought up and connected.

use super::repository::Repository;
use super::sandbox::Sandbox;
use super::service::{Plan, Service, Voice};
use super::timeline::Timeline;
use crate::commands::Context;
use crate::commands::platform::daemon_yaml;
use crate::error::{CommandError, CommandResult};
use crate::state_root;
use rensei_platform::{InitOptions, InitOutput};
use rensei_platform_client::OperatorClient;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// The one project of a demo.
pub(super) const PROJECT: &str = "demo";

/// A control plane and a host that waits for work.
#[derive(Debug)]
pub(super) struct Stage {
    /// Operator of the control plane.
    pub(super) client: OperatorClient,
    /// What runs.
    pub(super) services: Voices,
}

/// What the services say.
#[derive(Debug)]
pub(super) struct Voices {
    platform: Voice,
    host: Voice,
}

impl Voices {
    /// Resolves when a service ends by itself, which none should.
    pub(super) async fn failure(&mut self) -> CommandError {
        tokio::select! {
            // Both only copy lines into a log; whichever ends first is the failure.
            error = self.platform.until_end() => error,
            error = self.host.until_end() => error,
        }
    }
}

impl Stage {
    /// Starts the control plane, then a host that serves `repository`.
    pub(super) async fn set(
        context: &Context,
        repository: &Repository,
        sandbox: &mut Sandbox,
        timeline: &mut Timeline,
    ) -> CommandResult<Self> {
        let home = sandbox.home();
        state_root::create(&home)?;
        let tokens = init(&home, repository).await?;
        let mut env = context.env.without_ours();
        env.insert("RENSEI_HOME".into(), home.clone().into_os_string());
        let (platform, url) = start_platform(sandbox, &env).await?;
        timeline.event("control plane", format!("listens on {url}"))?;
        configure(&home, &url, &tokens, repository)?;
        let (host, worker) = start_host(sandbox, &env).await?;
        timeline.event("host", format!("registered as {worker}"))?;
        let client = OperatorClient::new(&url, tokens.api_key).map_err(CommandError::failure)?;
        Ok(Self { client, services: Voices { platform, host } })
    }
}

async fn init(home: &Path, repository: &Repository) -> CommandResult<InitOutput> {
    let options = InitOptions {
        data_dir: home.join("platform"),
        org: "demo".to_owned(),
        project: PROJECT.to_owned(),
        repository: Some(repository.url().to_owned()),
    };
    rensei_platform::init(options)
        .await
        .map_err(|error| CommandError::context("failed to set up the control plane", error))
}

fn configure(home: &Path, url: &str, tokens: &InitOutput, repository: &Repository) -> CommandResult {
    let yaml = daemon_yaml(url, tokens.registration_token.expose(), "demo-host", PROJECT, repository.url());
    std::fs::write(home.join("daemon.yaml"), yaml)
        .map_err(|error| CommandError::context("failed to write the host's configuration", error))
}

async fn start_platform(sandbox: &mut Sandbox, env: &BTreeMap<OsString, OsString>) -> CommandResult<(Voice, String)> {
    let args = words(&["platform", "serve", "--listen", "127.0.0.1:0"]);
    let mut voice = start(sandbox, "control plane", args, env)?;
    let url = voice.wait_for("[platform] listening on ").await?;
    Ok((voice, url))
}

async fn start_host(sandbox: &mut Sandbox, env: &BTreeMap<OsString, OsString>) -> CommandResult<(Voice, String)> {
    let args = words(&["host", "run", "--host", "127.0.0.1", "--port", "0", "--skip-wizard"]);
    let mut voice = start(sandbox, "host", args, env)?;
    let worker = voice.wait_for("[daemon] worker-id ").await?;
    Ok((voice, worker))
}

fn words(words: &[&str]) -> Vec<OsString> {
    // Should the demo be killed, its children end by themselves.
    let tail = ["--stop-with".to_owned(), std::process::id().to_string()];
    words.iter().map(OsString::from).chain(tail.map(OsString::from)).collect()
}

fn start(
    sandbox: &mut Sandbox,
    name: &'static str,
    args: Vec<OsString>,
    env: &BTreeMap<OsString, OsString>,
) -> CommandResult<Voice> {
    let dir = sandbox.path().to_owned();
    let (service, voice) = Service::start(Plan { name, args, env, dir: &dir })?;
    sandbox.own(service);
    Ok(voice)
}
