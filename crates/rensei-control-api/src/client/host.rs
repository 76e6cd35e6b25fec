//! Calls about the host itself.

use super::ControlClient;
use super::error::ControlError;
use super::http::Request;
use rensei_proto::control::{
    ActionResponse, Capabilities, CapacityChange, Doctor, DrainRequest, Heartbeat, SetCapacity, Stats, Status,
};

/// What stats to ask for beside the usual ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatsQuery {
    /// The workarea pool.
    pub pool: bool,
    /// Every machine behind the API.
    pub by_machine: bool,
}

impl ControlClient {
    /// Whether the daemon is alive. It may still be starting.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn healthz(&self) -> Result<(), ControlError> {
        self.http.fetch(Request::get("/healthz"), self.call_timeout).await.map(drop)
    }

    /// State of the daemon.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(Request::get("/api/daemon/status")).await
    }

    /// Stops taking work.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn pause(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/pause")).await
    }

    /// Takes work again.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn resume(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/resume")).await
    }

    /// Starts a drain; the answer comes at once.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn drain(&self, request: &DrainRequest) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/drain").json(request)).await
    }

    /// Starts an immediate stop; the answer comes at once.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn stop(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/stop")).await
    }

    /// Has the daemon look for a newer version of itself and install it; the answer comes at once, 501 from a host that
    /// cannot. What becomes of it: [`events`](Self::events), and `update` of the [`status`](Self::status).
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn update(&self) -> Result<ActionResponse, ControlError> {
        self.ask(Request::post("/api/daemon/update")).await
    }

    /// Capacity, load and registration.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn stats(&self, query: StatsQuery) -> Result<Stats, ControlError> {
        let StatsQuery { pool, by_machine } = query;
        self.ask(Request::get(format!("/api/daemon/stats?pool={pool}&byMachine={by_machine}"))).await
    }

    /// Changes a capacity of the running host, such as `capacity.maxConcurrentSessions`.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn set_capacity(&self, key: &str, value: &str) -> Result<CapacityChange, ControlError> {
        let change = SetCapacity { key: key.to_owned(), value: value.to_owned() };
        self.ask(Request::post("/api/daemon/capacity").json(&change)).await
    }

    /// The heartbeat that was sent last.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn heartbeat(&self) -> Result<Heartbeat, ControlError> {
        self.ask(Request::get("/api/daemon/heartbeat")).await
    }

    /// What to look at when the host ails.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn doctor(&self) -> Result<Doctor, ControlError> {
        self.ask(Request::get("/api/daemon/doctor")).await
    }

    /// What this machine can run.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn capabilities(&self) -> Result<Capabilities, ControlError> {
        self.ask(Request::get("/api/daemon/capabilities")).await
    }

    /// The OpenAPI document of the API.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn openapi(&self) -> Result<serde_json::Value, ControlError> {
        self.ask(Request::get("/api/daemon/openapi.json")).await
    }
}
