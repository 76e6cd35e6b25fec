//! Platform API, worker side: what a daemon and its workers send to a control plane.
//!
//! Requests are written in the daemon's dialect. Where dialects differ, decoders accept the union of the spellings and
//! the control plane's answers carry all of them. Fields marked *extension* are ours: other control planes ignore them.

mod heartbeat;
mod poll;
mod register;
mod report;

pub use heartbeat::{
    HeartbeatRequest, HeartbeatResponse, HeldSession, HostActivity, HostStatus, MutationFailure, PendingMutation,
};
pub use poll::{GitCredential, PollItem, PollResponse};
pub use register::{AllowlistEntry, Provides, RegisterRequest, RegisterResponse};
pub use report::{
    Activity, ActivityRequest, ClaimRequest, ClaimResponse, CompletionRequest, LockRefreshRequest, LockRefreshResponse,
    NackRequest, StatusError, StatusRequest,
};

/// `User-Agent` of every request that a daemon or one of its workers sends to a control plane.
pub const USER_AGENT: &str = concat!("rensei-daemon/", env!("CARGO_PKG_VERSION"));

/// Extension name in [`RegisterResponse::extensions`]: `poll?wait=<seconds>` and `lock-refresh?wait=<seconds>` hold
/// the request until there is something to say.
pub const EXTENSION_LONG_POLL: &str = "long-poll";
/// Extension name: claims carry a fencing `attempt` that reports must echo.
pub const EXTENSION_FENCING: &str = "fencing";
/// Substring of the 401 body by which a client knows that its runtime token has expired.
pub const RUNTIME_TOKEN_EXPIRED: &str = "Runtime token expired";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_answer_is_read_in_every_dialect() {
        for json in [
            r#"{"workerId":"w","runtimeToken":"t","runtimeTokenExpiresAt":"2026-01-01T00:00:00Z","heartbeatInterval":30000}"#,
            r#"{"workerId":"w","runtimeJwt":"t","expiresAt":"2026-01-01T00:00:00Z"}"#,
            r#"{"worker_id":"w","runtime_jwt":"t","heartbeat_interval_seconds":30}"#,
            r#"{"workerId":"w","runtimeToken":"t","runtimeJwt":"t","expiresAt":"x","runtimeTokenExpiresAt":"x"}"#,
        ] {
            let answer: RegisterResponse = serde_json::from_str(json).unwrap();
            assert_eq!((answer.worker_id.as_str(), answer.runtime_token.expose()), ("w", "t"), "{json}");
        }
    }

    #[test]
    fn one_bad_item_leaves_its_neighbours() {
        let json = r#"{"work":[{"sessionId":"a","queuedAt":1777658441780},{"sessionId":"../x"},{"sessionId":"c",
            "queuedAt":"1777658441780","priority":"high"}],"preClaimed":true}"#;
        let answer: PollResponse = serde_json::from_str(json).unwrap();
        let ids: Vec<_> = answer
            .work
            .iter()
            .map(|raw| serde_json::from_str::<PollItem>(raw.get()).ok().map(|i| i.session_id.to_string()))
            .collect();
        assert_eq!(ids, [Some("a".into()), None, Some("c".into())]);
        assert!(serde_json::from_str::<PollResponse>(r#"{"work":null}"#).unwrap().work.is_empty());
    }

    #[test]
    fn a_nack_says_when_the_host_is_at_fault_and_nothing_otherwise() {
        let plain = r#"{"workerId":"w","reason":"not allowed","work":{"sessionId":"s"}}"#;
        let mut nack: NackRequest = serde_json::from_str(plain).unwrap();
        assert!(!nack.host_fault);
        assert_eq!(serde_json::to_string(&nack).unwrap(), plain);
        nack.host_fault = true;
        let text = serde_json::to_string(&nack).unwrap();
        assert!(text.ends_with(r#""hostFault":true}"#), "{text}");
        assert!(serde_json::from_str::<NackRequest>(&text).unwrap().host_fault);
        let odd = plain.replace("\"reason\"", "\"hostFault\":\"yes\",\"reason\"");
        assert!(!serde_json::from_str::<NackRequest>(&odd).unwrap().host_fault);
    }

    #[test]
    fn registration_request_accepts_both_capacity_spellings() {
        let doc: RegisterRequest =
            serde_json::from_str(r#"{"version":"0.5.0","capabilities":["local"],"maxConcurrency":4}"#).unwrap();
        assert_eq!(doc.effective_capacity(), 4);
        let both: RegisterRequest = serde_json::from_str(r#"{"capacity":2,"maxConcurrency":4}"#).unwrap();
        assert_eq!(both.effective_capacity(), 2);
    }

    #[test]
    fn one_bad_mutation_leaves_its_neighbours() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        let json = format!(
            r#"{{"acknowledged":true,"hostStatus":{deep},"pendingMutations":[{{"op":"x"}},7,{{"id":"deep","op":"x","params":{deep}}},
            {{"id":"no-op"}},{{"id":"m","op":"session.kill","params":{{"sessionId":"s"}}}}]}}"#
        );
        let answer: HeartbeatResponse = serde_json::from_str(&json).unwrap();
        let read: Vec<_> = answer.pending_mutations.iter().map(|m| (m.id.as_str(), m.op.as_str())).collect();
        assert_eq!(read, [("no-op", ""), ("m", "session.kill")]);
        assert!(answer.acknowledged && answer.host_status.is_none());
        let from_value: HeartbeatResponse =
            serde_json::from_value(serde_json::json!({"pendingMutations": [{"id": "v"}], "serverTime": "now"}))
                .unwrap();
        assert_eq!((from_value.pending_mutations.len(), from_value.server_time.as_str()), (1, "now"));
    }

    #[test]
    fn what_stands_beside_the_work_cannot_cost_it() {
        let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
        for beside in [
            format!(r#""inboxMessages":{{"a":{deep}}}"#),
            r#""inboxMessages":{"a":"\ud800"}"#.to_owned(),
            format!(r#""claimedSessionIds":{deep}"#),
        ] {
            let json = format!(r#"{{"work":[{{"sessionId":"a","x":{deep}}}],{beside},"preClaimed":true}}"#);
            let answer: PollResponse = serde_json::from_str(&json).unwrap();
            assert!(answer.work.len() == 1 && answer.pre_claimed, "{beside}");
        }
    }
}
