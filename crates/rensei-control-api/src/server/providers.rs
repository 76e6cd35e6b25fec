//! Routes of what sessions can run with.

use super::message::{Answer, PathOf};
use super::reply::Refusal;
use super::routes::{Table, says};
use axum::extract::State;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::ErrorBody;
use rensei_proto::control::{ProviderList, ProviderResponse};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) fn routes<T: Table>(table: T) -> T {
    let listed =
        says("providers", "providers", "What sessions can run with, by id, and why what cannot be used cannot.");
    let shown = says("provider", "providers", "One of them.");
    table.get("/api/daemon/providers", list, listed).get("/api/daemon/providers/{id}", show, shown)
}

/// The path of one provider.
#[derive(Debug, Deserialize, JsonSchema)]
struct ProviderPath {
    /// The provider.
    id: String,
}

async fn list(State(daemon): State<DaemonHandle>) -> Answer<ProviderList> {
    Answer(ProviderList::new(daemon.providers().await))
}

async fn show(
    State(daemon): State<DaemonHandle>,
    PathOf(ProviderPath { id }): PathOf<ProviderPath>,
) -> Result<Answer<ProviderResponse>, Refusal> {
    let found = daemon.providers().await.into_iter().find(|provider| provider.id == id);
    found
        .map(|provider| Answer(ProviderResponse { provider }))
        .ok_or_else(|| Refusal::not_found(ErrorBody::new("provider not found").with("providerId", id)))
}
