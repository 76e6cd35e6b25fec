//! What a control plane is told about the host when it registers.

use crate::allowlist::Allowlist;
use crate::capabilities::MachineCapabilities;
use crate::serving::Serving;
use rensei_proto::platform::RegisterRequest;
use std::sync::Arc;

/// What never changes, and where to read what does.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) machine: RegisterRequest,
    pub(crate) capabilities: MachineCapabilities,
    pub(crate) allowlist: Arc<Allowlist>,
    pub(crate) serving: Arc<Serving>,
}

impl Profile {
    /// As it is just now.
    pub(super) fn request(&self) -> RegisterRequest {
        RegisterRequest {
            // A control plane demands at least one. A host that takes nothing does not ask for work either.
            capacity: Some(i64::try_from(self.serving.max_sessions().max(1)).unwrap_or(i64::MAX)),
            daemon_projects: self.allowlist.entries(),
            provides: self.capabilities.provides().to_vec(),
            ..self.machine.clone()
        }
    }
}

#[cfg(test)]
impl Default for Profile {
    fn default() -> Self {
        Self {
            machine: RegisterRequest::default(),
            capabilities: MachineCapabilities::default(),
            allowlist: Arc::default(),
            serving: Arc::new(Serving::new(1)),
        }
    }
}
