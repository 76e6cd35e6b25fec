//! Control API of a host, on loopback.
//!
//! The calls are declared by the server (`rensei-control-api`) and listed in `docs/api/control.json`, an OpenAPI document
//! whose schemas are these types.

mod event;
mod host;
mod kits;
mod overview;
mod pool;
mod provider;
mod routing;
mod session;
mod update;
mod workarea_diff;
mod workareas;

pub use event::{HostChange, HostEvent};
pub use host::{ActionResponse, DrainRequest, HostState, Organization, Registration, RegistrationState, Status};
pub use kits::{
    KitDetail, KitEnvelope, KitInstallRequest, KitInstallResult, KitInstallSource, KitList, KitSettings, KitSignature,
    KitSource, KitSourceList, KitSourceToggle, KitStatus, KitSummary, KitTrust, TrustMode,
};
pub use overview::{
    Capabilities, CapacityChange, CapacityStats, Doctor, Heartbeat, MachineStats, OrganizationHeartbeat,
    OrganizationStats, RegistrationStats, SetCapacity, Stats,
};
pub use pool::{EvictPoolRequest, EvictPoolResponse, PoolMemberStatus, WorkareaPoolMember, WorkareaPoolStats};
pub use provider::{AGENT_RUNTIME, Provider, ProviderList, ProviderResponse, ProviderStatus};
pub use routing::{
    CapabilityFilter, EliminatedCandidate, LlmState, RejectedCandidate, RejectionReason, RoutingConfig,
    RoutingConfigResponse, RoutingDecision, RoutingDimension, RoutingExplanation, RoutingPhase, RoutingStep,
    RoutingWeights, SandboxState,
};
pub use session::{
    PostSession, PostedDetail, SessionHandle, SessionState, SessionView, StopRequest, StopResponse, Workarea,
};
pub use update::{UpdateOutcome, UpdateResult};
pub use workarea_diff::{DiffEntry, DiffEnvelope, DiffLine, DiffStatus, DiffSummary, WorkareaDiff};
pub use workareas::{
    ArchiveRequest, CopyProgress, ExcludedEntry, PruneRequest, PruneResponse, PrunedWorkarea, RestoreRequest,
    SkippedWorkarea, WorkareaDetail, WorkareaEnvelope, WorkareaKind, WorkareaList, WorkareaStatus, WorkareaSummary,
};

/// Port that the control API listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7734;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posted_session_takes_detail_fields_but_no_credentials() {
        let json = r#"{"sessionId":"s1","repository":"smoke-alpha","ref":"main","title":"T","promptContext":"do",
            "authToken":"stolen","workerId":"w","env":{"A":"1"},"resolvedProfile":{"provider":"shell"}}"#;
        let post: PostSession = serde_json::from_str(json).unwrap();
        let detail = post.to_detail();
        assert_eq!((post.spec.repository.as_str(), detail.title.as_str()), ("smoke-alpha", "T"));
        assert!(detail.auth_token.is_none() && detail.worker_id.is_empty());
        assert_eq!(detail.provider(), "shell");
    }
}
