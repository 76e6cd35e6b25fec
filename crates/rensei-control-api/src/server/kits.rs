//! Routes of kits and of where they come from.
//!
//! Ids of kits contain slashes, so everything below `/api/daemon/kits/` is one route whose end may be an action.

use super::message::{Answer, OptionalBody, PathOf};
use super::reply::{Refusal, finish};
use super::routes::{Table, says};
use axum::extract::State;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use rensei_daemon_core::{DaemonHandle, KitError, KitRegistry};
use rensei_proto::control::{
    KitEnvelope, KitInstallRequest, KitInstallResult, KitList, KitSettings, KitSignature, KitSourceList,
    KitSourceToggle, KitSummary,
};
use rensei_proto::{ErrorBody, error_chain};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

const VERIFY: &str = "verify-signature";

pub(super) fn routes<T: Table>(table: T) -> T {
    let listed = says("kits", "kits", "All kits of this host, by id.");
    let asked = says(
        "kit",
        "kits",
        "One kit: the path is its id, which may contain slashes. With `/verify-signature` at the end: what is known of \
         its signature.",
    );
    let changed = says(
        "installKit",
        "kits",
        "The path is the kit's id and an action: `/install` installs it from the body's source, `/enable` and `/disable` \
         switch it.",
    );
    let sources = says("kitSources", "kits", "Where kits come from, in the order in which they are asked.");
    let enabled = says("enableKitSource", "kits", "Switches a source on.");
    let disabled = says("disableKitSource", "kits", "Switches a source off.");
    let settings = says("kitSettings", "kits", "What a worker needs to find the kits of its host.");
    table
        .get("/api/daemon/kits", list, listed)
        .get("/api/daemon/kits/{*kit}", ask, |operation| asked(operation).response::<200, Answer<Asked>>())
        .post("/api/daemon/kits/{*kit}", change, |operation| changed(operation).response::<200, Answer<Changed>>())
        .get("/api/daemon/kit-sources", list_sources, sources)
        .post("/api/daemon/kit-sources/{name}/enable", enable_source, enabled)
        .post("/api/daemon/kit-sources/{name}/disable", disable_source, disabled)
        .get("/api/daemon/kit-settings", show_settings, settings)
}

/// The path below `kits`.
#[derive(Debug, Deserialize, JsonSchema)]
struct KitPath {
    /// Id of the kit, and the action if there is one.
    kit: String,
}

/// The path of one source.
#[derive(Debug, Deserialize, JsonSchema)]
struct SourcePath {
    /// Name of the source.
    name: String,
}

/// Answers to questions about a kit.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Asked {
    /// Without an action.
    Kit(Box<KitEnvelope>),
    /// `/verify-signature`.
    Signature(KitSignature),
}

/// Answers to changes of a kit.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Changed {
    /// `/install`.
    Installed(KitInstallResult),
    /// `/enable`, `/disable`.
    Switched(KitSummary),
}

/// What the end of a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Show,
    Verify,
    Install,
    Switch(bool),
}

impl Action {
    const fn method(self) -> &'static str {
        match self {
            Self::Show | Self::Verify => "GET",
            Self::Install | Self::Switch(_) => "POST",
        }
    }
}

/// The id and the action. Any other end belongs to the id.
fn split(path: &str) -> (&str, Action) {
    let path = path.trim_matches('/');
    let (id, action) = match path.rsplit_once('/') {
        Some((id, VERIFY)) => (id, Action::Verify),
        Some((id, "install")) => (id, Action::Install),
        Some((id, "enable")) => (id, Action::Switch(true)),
        Some((id, "disable")) => (id, Action::Switch(false)),
        _ => (path, Action::Show),
    };
    (id.trim_end_matches('/'), action)
}

/// The method that a path below `kits` takes. The router knows only that some take the one and some the other.
pub(super) fn method_of(path: &str) -> Option<&'static str> {
    let path = percent_decode_str(path.strip_prefix("/api/daemon/kits/")?).decode_utf8_lossy();
    let (_id, action) = split(&path);
    Some(action.method())
}

/// Runs work on the registry, which touches the disk.
async fn with_registry<T: Send + 'static>(
    daemon: DaemonHandle,
    work: impl FnOnce(&KitRegistry) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let registry = Arc::clone(daemon.kits());
    tokio::task::spawn_blocking(move || work(&registry)).await.map_err(|error| Refusal::internal(&error))
}

/// The same for work that changes which kits are in use.
async fn changing<T: Send + 'static>(
    daemon: DaemonHandle,
    work: impl FnOnce(&KitRegistry) -> T + Send + 'static,
) -> Result<T, Refusal> {
    with_registry(daemon.clone(), move |registry| {
        let done = work(registry);
        daemon.kits_changed();
        done
    })
    .await
}

impl From<KitError> for Refusal {
    fn from(error: KitError) -> Self {
        let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, error.body(error_chain(&error)))
    }
}

async fn list(State(daemon): State<DaemonHandle>) -> Result<Answer<KitList>, Refusal> {
    with_registry(daemon, KitRegistry::list).await.map(Answer)
}

async fn ask(
    State(daemon): State<DaemonHandle>,
    PathOf(KitPath { kit }): PathOf<KitPath>,
) -> Result<Response, Refusal> {
    let (id, action) = split(&kit);
    let id = id.to_owned();
    match action {
        Action::Show => {
            let kit = with_registry(daemon, move |registry| registry.get(&id)).await??;
            Ok(Answer::<_, 200>(KitEnvelope { kit }).into_response())
        }
        Action::Verify => {
            let signature = with_registry(daemon, move |registry| registry.verify(&id)).await??;
            Ok(Answer::<_, 200>(signature).into_response())
        }
        Action::Install | Action::Switch(_) => Ok(not_allowed(action)),
    }
}

async fn change(
    State(daemon): State<DaemonHandle>,
    PathOf(KitPath { kit }): PathOf<KitPath>,
    OptionalBody(request): OptionalBody<KitInstallRequest>,
) -> Result<Response, Refusal> {
    let (id, action) = split(&kit);
    let id = id.to_owned();
    match action {
        Action::Install => {
            // Also when the client hangs up: what it asked for is done, and it can look later.
            let installed = finish(async move {
                let installed = Arc::clone(daemon.kits()).install(&id, request).await;
                daemon.kits_changed();
                installed
            });
            let installed = installed.await??;
            Ok(Answer::<_, 200>(installed).into_response())
        }
        Action::Switch(enabled) => {
            let switched = changing(daemon, move |registry| registry.set_enabled(&id, enabled)).await??;
            Ok(Answer::<_, 200>(switched).into_response())
        }
        Action::Show | Action::Verify => Ok(not_allowed(action)),
    }
}

fn not_allowed(action: Action) -> Response {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("method not allowed"));
    let mut response = refusal.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(action.method()));
    response
}

async fn list_sources(State(daemon): State<DaemonHandle>) -> Result<Answer<KitSourceList>, Refusal> {
    with_registry(daemon, KitRegistry::sources).await.map(Answer)
}

async fn enable_source(
    State(daemon): State<DaemonHandle>,
    PathOf(SourcePath { name }): PathOf<SourcePath>,
) -> Result<Answer<KitSourceToggle>, Refusal> {
    Ok(Answer(changing(daemon, move |registry| registry.set_source_enabled(&name, true)).await??))
}

async fn disable_source(
    State(daemon): State<DaemonHandle>,
    PathOf(SourcePath { name }): PathOf<SourcePath>,
) -> Result<Answer<KitSourceToggle>, Refusal> {
    Ok(Answer(changing(daemon, move |registry| registry.set_source_enabled(&name, false)).await??))
}

async fn show_settings(State(daemon): State<DaemonHandle>) -> Answer<KitSettings> {
    Answer(daemon.kits().settings())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_is_an_action_or_part_of_the_id() {
        for (path, id, action) in [
            ("a", "a", Action::Show),
            ("/spring/java/", "spring/java", Action::Show),
            ("spring/java/foo", "spring/java/foo", Action::Show),
            ("spring/java/verify-signature", "spring/java", Action::Verify),
            ("a/install", "a", Action::Install),
            ("a/enable/", "a", Action::Switch(true)),
            ("a/b/disable", "a/b", Action::Switch(false)),
            ("install", "install", Action::Show),
        ] {
            assert_eq!(split(path), (id, action), "{path}");
        }
    }
}
