//! What happens on the host, as it is streamed.

use super::{HostState, Registration, SessionView, UpdateResult, Workarea};
use crate::SessionId;
use serde::{Deserialize, Serialize};

/// One event of `GET /api/daemon/events`. Its `id` and `type` are also the `id` and `event` of the server-sent event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HostEvent {
    /// Where in the stream it is. A client that comes back with it as `Last-Event-ID` gets what it missed.
    pub id: String,
    /// When it happened, RFC 3339 with milliseconds.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub change: HostChange,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum HostChange {
    /// The state of the daemon changed.
    #[serde(rename = "host.state")]
    HostState {
        /// State now.
        status: HostState,
    },
    /// How a control plane sees this host changed.
    #[serde(rename = "registration.changed")]
    RegistrationChanged {
        /// Organisation whose control plane it is; absent for that of `daemon.yaml`. *Extension.*
        #[serde(default, skip_serializing_if = "Option::is_none")]
        organization: Option<String>,
        /// How it stands now; `local` for a control plane that the host has nothing to do with any more.
        registration: Box<Registration>,
    },
    /// The process of a session runs.
    #[serde(rename = "session.started")]
    SessionStarted {
        /// Its record.
        session: Box<SessionView>,
    },
    /// The process of a session has ended.
    #[serde(rename = "session.ended")]
    SessionEnded {
        /// Its record.
        session: Box<SessionView>,
    },
    /// A session got its workarea.
    #[serde(rename = "workarea.acquired")]
    WorkareaAcquired {
        /// The workarea.
        workarea: Box<Workarea>,
    },
    /// A session gave its workarea back.
    #[serde(rename = "workarea.released")]
    WorkareaReleased {
        /// The session.
        session_id: SessionId,
    },
    /// The host looks for a newer version of itself, or has done so.
    #[serde(rename = "host.update")]
    HostUpdate {
        /// How far it is, or how it ended.
        update: UpdateResult,
    },
    /// The reader was too slow, or away for too long: so many events are gone, none when that is not known.
    #[serde(rename = "stream.missed")]
    Missed {
        /// How many, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missed: Option<u64>,
    },
    /// The daemon ends, and with it the stream.
    #[serde(rename = "stream.end")]
    End,
    /// Something that this version does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl HostChange {
    /// The word on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HostState { .. } => "host.state",
            Self::RegistrationChanged { .. } => "registration.changed",
            Self::SessionStarted { .. } => "session.started",
            Self::SessionEnded { .. } => "session.ended",
            Self::WorkareaAcquired { .. } => "workarea.acquired",
            Self::WorkareaReleased { .. } => "workarea.released",
            Self::HostUpdate { .. } => "host.update",
            Self::Missed { .. } => "stream.missed",
            Self::End => "stream.end",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_types_and_newer_events_can_be_read() {
        for change in [
            HostChange::HostState { status: HostState::Paused },
            HostChange::WorkareaReleased { session_id: SessionId::parse("s1").unwrap() },
            HostChange::Missed { missed: Some(3) },
            HostChange::End,
        ] {
            let event = HostEvent { id: "1-2".into(), at: "t".into(), change };
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["type"], event.change.name());
            assert_eq!(serde_json::from_value::<HostEvent>(json).unwrap(), event);
        }
        let newer = r#"{"id":"1-1","at":"t","type":"pool.grown","members":[1]}"#;
        assert_eq!(serde_json::from_str::<HostEvent>(newer).unwrap().change, HostChange::Unknown);
    }
}
