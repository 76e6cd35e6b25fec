//! Environment of the agent.

use rensei_proto::SessionDetail;
use std::collections::BTreeMap;

/// Names that never reach an agent: credentials of the host and of the control plane, and settings that would make the
/// agent use the host's own model account instead of the one that the session was given.
const BLOCKED: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "AUDIT_SIGNING_KEY_PRIVATE",
    "AUDIT_SIGNING_KEY_PUBLIC",
    "CODE_INTEL_HOST_JWT_SECRET",
    "M2M_JWT_SECRET",
    "OPENCLAW_GATEWAY_TOKEN",
    "WORKER_API_KEY",
    "WORKER_AUTH_TOKEN",
    "WORKOS_API_KEY",
    "WORKOS_COOKIE_PASSWORD",
];

/// The same for names that start with one of [`PREFIXES`].
const BLOCKED_AFTER_PREFIX: &[&str] = &["CREDENTIAL_CAPABILITY", "ORCHESTRATOR_URL"];

/// Endings of credential names that start with one of [`PREFIXES`].
const BLOCKED_ENDINGS: &[&str] = &["_TOKEN", "_JWT", "_API_KEY"];

const PREFIXES: &[&str] = &["RENSEI_", "DONMAI_"];

/// The agent's whole environment: the worker's without what is blocked, and what identifies the session.
pub(crate) fn compose(worker: &BTreeMap<String, String>, detail: &SessionDetail) -> BTreeMap<String, String> {
    let inherited = worker.iter().filter(|(name, _)| !is_blocked(name));
    let mut env: BTreeMap<String, String> = inherited.map(|(name, value)| (name.clone(), value.clone())).collect();
    env.extend(session_variables(detail).into_iter().map(|(name, value)| (name.to_owned(), value)));
    env
}

fn is_blocked(name: &str) -> bool {
    let own = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let own_secret = own.is_some_and(|rest| {
        BLOCKED_AFTER_PREFIX.contains(&rest) || BLOCKED_ENDINGS.iter().any(|ending| name.ends_with(ending))
    });
    own_secret || BLOCKED.contains(&name) || !is_portable(name)
}

/// A name with `=` or NUL in it cannot be handed to a process; the spawn would fail as a whole.
fn is_portable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// What identifies the session; names with an empty value are left out. `LINEAR_*` and `AGENTFACTORY_*` are the names
/// that existing agents read.
fn session_variables(detail: &SessionDetail) -> Vec<(&'static str, String)> {
    let id = detail.session_id.to_string();
    let budget = detail.stage_budget.unwrap_or_default();
    let limit = |value: Option<u64>| value.filter(|n| *n > 0).map(|n| n.to_string()).unwrap_or_default();
    let mut variables = vec![
        ("RENSEI_SESSION_ID", id.clone()),
        ("DONMAI_SESSION_ID", id.clone()),
        ("AGENTFACTORY_SESSION_ID", id.clone()),
        ("LINEAR_SESSION_ID", id),
        ("LINEAR_ISSUE_ID", detail.issue_id.clone()),
        ("LINEAR_ISSUE_IDENTIFIER", detail.issue_identifier.clone()),
        ("LINEAR_WORK_TYPE", detail.work_type.clone()),
        ("AGENTFACTORY_PROJECT", detail.project_name.clone()),
        ("AGENTFACTORY_ORG_ID", detail.organization_id.clone()),
        ("AGENTFACTORY_API_URL", detail.platform_url.clone()),
        ("AGENTFACTORY_STAGE_ID", detail.stage_id.clone()),
        ("AGENTFACTORY_STAGE_MAX_DURATION_SECONDS", limit(budget.max_duration_seconds)),
        ("AGENTFACTORY_STAGE_MAX_SUB_AGENTS", limit(budget.max_sub_agents)),
        ("AGENTFACTORY_STAGE_MAX_TOKENS", limit(budget.max_tokens)),
    ];
    variables.retain(|(_, value)| !value.is_empty() && !value.contains('\0'));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::{Secret, SessionId, StageBudget};

    #[test]
    fn secrets_stay_and_the_session_is_named() {
        let worker = [
            ("PATH", "/bin"),
            ("EMPTY", ""),
            ("GITHUB_TOKEN", "the user's own"),
            ("RENSEI_SESSION_DIR", "/s"),
            ("RENSEI_DAEMON_URL", "http://127.0.0.1:1"),
            ("RENSEI_API_TOKEN", "x"),
            ("DONMAI_DAEMON_JWT", "x"),
            ("DONMAI_DAEMON_API_KEY", "x"),
            ("RENSEI_ORCHESTRATOR_URL", "x"),
            ("DONMAI_CREDENTIAL_CAPABILITY", "x"),
            ("ANTHROPIC_API_KEY", "x"),
            ("WORKER_AUTH_TOKEN", "x"),
            ("AGENTFACTORY_SESSION_ID", "of another session"),
        ];
        let worker = worker.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let detail = SessionDetail {
            auth_token: Some(Secret::from("bearer")),
            work_type: "qa".into(),
            stage_budget: Some(StageBudget { max_tokens: Some(9), max_sub_agents: Some(0), ..StageBudget::default() }),
            ..SessionDetail::new(SessionId::parse("s1").unwrap())
        };
        let env = compose(&worker, &detail);
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "AGENTFACTORY_SESSION_ID",
                "AGENTFACTORY_STAGE_MAX_TOKENS",
                "DONMAI_SESSION_ID",
                "EMPTY",
                "GITHUB_TOKEN",
                "LINEAR_SESSION_ID",
                "LINEAR_WORK_TYPE",
                "PATH",
                "RENSEI_DAEMON_URL",
                "RENSEI_SESSION_DIR",
                "RENSEI_SESSION_ID",
            ]
        );
        assert_eq!(env["AGENTFACTORY_SESSION_ID"], "s1");
        assert!(env.values().all(|value| value != "bearer"));
    }
}
