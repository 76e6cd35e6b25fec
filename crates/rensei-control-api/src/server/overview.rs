//! Routes by which the host says of itself how it is and what it takes on.

use super::message::{Answer, Body, QueryOf, Switch};
use super::reply::Refusal;
use super::routes::{Table, says};
use axum::extract::State;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::ErrorBody;
use rensei_proto::control::{Capabilities, CapacityChange, Doctor, Heartbeat, SetCapacity, Stats};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) fn routes<T: Table>(table: T) -> T {
    let stats_of = says("stats", "host", "Capacity, load and registration.");
    let changed = says("setCapacity", "host", "Changes a capacity of the running host; the configuration stays.");
    table
        .get("/api/daemon/stats", stats, stats_of)
        .post("/api/daemon/capacity", set_capacity, changed)
        .get("/api/daemon/heartbeat", heartbeat, says("heartbeat", "host", "The heartbeat that was sent last."))
        .get("/api/daemon/doctor", doctor, says("doctor", "host", "What to look at when it ails."))
        .get("/api/daemon/capabilities", capabilities, says("capabilities", "host", "What this machine can run."))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StatsQuery {
    /// With `pool`, if it is the word `true`.
    #[serde(default)]
    pool: Switch,
    /// With `byMachine`, if it is the word `true`.
    #[serde(default)]
    by_machine: Switch,
}

async fn stats(
    State(daemon): State<DaemonHandle>,
    QueryOf(query): QueryOf<StatsQuery>,
) -> Result<Answer<Stats>, Refusal> {
    Ok(Answer(daemon.stats(query.pool.is_on(), query.by_machine.is_on())))
}

async fn heartbeat(State(daemon): State<DaemonHandle>) -> Answer<Heartbeat> {
    Answer(daemon.heartbeat())
}

async fn doctor(State(daemon): State<DaemonHandle>) -> Answer<Doctor> {
    Answer(daemon.doctor())
}

async fn capabilities(State(daemon): State<DaemonHandle>) -> Answer<Capabilities> {
    Answer(daemon.capabilities())
}

/// Refusals have the fields of the answer, too, for clients that read those.
async fn set_capacity(
    State(daemon): State<DaemonHandle>,
    body: Result<Body<SetCapacity>, Refusal>,
) -> Result<Answer<CapacityChange>, Refusal> {
    let Body(SetCapacity { key, value }) = body.map_err(|refusal| not_changed(refusal, "", ""))?;
    match daemon.set_capacity(&key, &value) {
        Ok(()) => Ok(Answer(CapacityChange { ok: true, key, value, message: "applied".to_owned() })),
        Err(error) => {
            let hint = "send {\"key\": \"capacity.maxConcurrentSessions\", \"value\": \"4\"}";
            let refusal =
                Refusal::new(axum::http::StatusCode::BAD_REQUEST, ErrorBody::new(error.to_string()).hint(hint));
            Err(not_changed(refusal, &key, &value))
        }
    }
}

fn not_changed(mut refusal: Refusal, key: &str, value: &str) -> Refusal {
    let message = refusal.body.error.clone();
    for (field, text) in [("key", key), ("value", value), ("message", &message)] {
        refusal.body.extra.insert(field.to_owned(), text.into());
    }
    refusal.body.extra.insert("ok".to_owned(), false.into());
    refusal
}
