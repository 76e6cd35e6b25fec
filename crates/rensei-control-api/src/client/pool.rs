//! Calls about the pool of workareas.

use super::ControlClient;
use super::error::ControlError;
use super::http::Request;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, WorkareaPoolStats};
use std::time::Duration;

/// Time for deleting many large workareas.
const EVICT: Duration = Duration::from_secs(10 * 60);

impl ControlClient {
    /// Members of the workarea pool.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn pool_stats(&self) -> Result<WorkareaPoolStats, ControlError> {
        self.ask(Request::get("/api/daemon/pool/stats")).await
    }

    /// Deletes idle workareas of a repository.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn evict_pool(&self, request: &EvictPoolRequest) -> Result<EvictPoolResponse, ControlError> {
        self.http.ask(Request::post("/api/daemon/pool/evict").json(request), EVICT).await
    }
}
