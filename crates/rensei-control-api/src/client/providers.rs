//! Calls about what sessions can run with.

use super::http::{Request, segment};
use super::{ControlClient, ControlError};
use rensei_proto::control::{Provider, ProviderList, ProviderResponse};

impl ControlClient {
    /// What sessions can run with, by id.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn providers(&self) -> Result<ProviderList, ControlError> {
        self.ask(Request::get("/api/daemon/providers")).await
    }

    /// One of them.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn provider(&self, id: &str) -> Result<Provider, ControlError> {
        let request = Request::get(format!("/api/daemon/providers/{}", segment(id)));
        self.ask::<ProviderResponse>(request).await.map(|answer| answer.provider)
    }
}
