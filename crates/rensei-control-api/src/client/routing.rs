//! Calls about the routing record.

use super::http::Request;
use super::{ControlClient, ControlError};
use rensei_proto::SessionId;
use rensei_proto::control::{RoutingConfigResponse, RoutingExplanation};

impl ControlClient {
    /// What routing has learned, and its last decisions.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn routing_config(&self) -> Result<RoutingConfigResponse, ControlError> {
        self.ask(Request::get("/api/daemon/routing/config")).await
    }

    /// Why a session runs, or ran, where and with what it does.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn explain_routing(&self, id: &SessionId) -> Result<RoutingExplanation, ControlError> {
        self.ask(Request::get(format!("/api/daemon/routing/explain/{id}"))).await
    }
}
