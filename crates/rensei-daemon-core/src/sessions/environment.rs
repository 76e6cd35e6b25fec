//! Environment of a worker: composed from an explicit map, so that nothing reaches it by accident.

use rensei_proto::{Secret, SessionSpec};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Variables that no worker gets, whatever their prefix says about them.
const NEVER_FORWARDED: [&str; 9] = [
    "WORKER_API_KEY",
    "M2M_JWT_SECRET",
    "AUDIT_SIGNING_KEY_PRIVATE",
    "AUDIT_SIGNING_KEY_PUBLIC",
    "WORKOS_API_KEY",
    "WORKOS_COOKIE_PASSWORD",
    "CODE_INTEL_HOST_JWT_SECRET",
    "CRON_SECRET",
    "REDIS_URL",
];

/// The two generations of our prefix. Workers of either find their variables.
const PREFIXES: [&str; 2] = ["RENSEI_", "DONMAI_"];

/// What is the same for every session of a daemon.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvironmentParts {
    /// Environment of the daemon's process, as a snapshot.
    pub(crate) inherited: BTreeMap<String, String>,
    /// Variables that the embedder adds.
    pub(crate) base: BTreeMap<String, String>,
    /// Where workers reach the control API.
    pub(crate) control_url: String,
}

/// What belongs to one session.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionVariables<'a> {
    pub(super) spec: &'a SessionSpec,
    pub(super) repository: &'a str,
    pub(super) project_id: &'a str,
    pub(super) worker_id: &'a str,
    pub(super) directory: &'a Path,
    /// What the worker shows to be told about its session.
    pub(super) token: &'a Secret,
    /// Control plane; empty for none.
    pub(super) orchestrator_url: &'a str,
    /// The daemon's own credentials. A variable that holds one stays with the daemon, whatever its name.
    pub(super) secrets: &'a [Secret],
}

/// First variable of `env` that cannot be one.
pub(super) fn invalid_name(env: &BTreeMap<String, String>) -> Option<&str> {
    let invalid = |name: &str, value: &str| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    env.iter().find(|(name, value)| invalid(name, value)).map(|(name, _)| name.as_str())
}

/// Whether a variable of the daemon's own process stays with the daemon.
fn is_withheld(name: &str) -> bool {
    let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let secret = ["_TOKEN", "_JWT", "_KEY", "_SECRET", "_PASSPHRASE", "_CAPABILITY"];
    (ours && secret.iter().any(|suffix| name.ends_with(suffix))) || NEVER_FORWARDED.contains(&name)
}

/// Beginnings of tokens of a control plane. Also one that the host learns of later must not get out.
const TOKEN_PREFIXES: [&str; 2] = ["rsp_live_", "rsk_live_"];

/// Whether a value is, or contains, one of the secrets or another token of a control plane.
pub(crate) fn holds(value: &str, secrets: &[Secret]) -> bool {
    TOKEN_PREFIXES.iter().any(|prefix| value.contains(prefix))
        || secrets.iter().any(|secret| !secret.is_empty() && value.contains(secret.expose()))
}

/// The complete environment: inherited, base, the session's own, and last the variables that nobody can override.
pub(super) fn compose(parts: &EnvironmentParts, session: SessionVariables<'_>) -> BTreeMap<OsString, OsString> {
    let inherited = parts.inherited.iter().filter(|(name, value)| !is_withheld(name) && !holds(value, session.secrets));
    let mut env: BTreeMap<OsString, OsString> = inherited
        .chain(&parts.base)
        .chain(&session.spec.env)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut fixed: Vec<(&str, OsString)> = vec![
        ("SESSION_ID", session.spec.session_id.as_str().into()),
        ("REPOSITORY", session.repository.into()),
        ("REF", session.spec.r#ref.as_str().into()),
        ("PROJECT_ID", session.project_id.into()),
        ("WORKER_ID", session.worker_id.into()),
        ("ORCHESTRATOR_URL", session.orchestrator_url.into()),
        ("DAEMON_URL", parts.control_url.as_str().into()),
        ("SESSION_DIR", session.directory.into()),
        ("SESSION_TOKEN", session.token.expose().into()),
    ];
    let asked = session.spec.resources.unwrap_or_default();
    fixed.extend(asked.v_cpu.map(|count| ("SESSION_VCPU", count.to_string().into())));
    fixed.extend(asked.memory_mb.map(|mb| ("SESSION_MEMORY_MB", mb.to_string().into())));
    for (name, value) in fixed {
        for prefix in PREFIXES {
            env.insert(format!("{prefix}{name}").into(), value.clone());
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::{Resources, SessionId};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn layers_and_secrets() {
        let parts = EnvironmentParts {
            inherited: map(&[
                ("PATH", "/bin"),
                ("RENSEI_DAEMON_TOKEN", "rsp_live_x"),
                ("DONMAI_DAEMON_JWT", "j"),
                ("RENSEI_API_KEY", "k"),
                ("WORKER_API_KEY", "w"),
                ("GITHUB_TOKEN", "the user's own"),
                ("RENSEI_STUB_MODE", "hang"),
                ("MY_REGISTRATION", "token=by_value"),
                ("NEXT_REGISTRATION", "rsp_live_later"),
            ]),
            base: map(&[("A", "base"), ("B", "base")]),
            control_url: "http://127.0.0.1:1".to_owned(),
        };
        let spec = SessionSpec {
            session_id: SessionId::parse("s1").unwrap(),
            repository: "posted".to_owned(),
            r#ref: "main".to_owned(),
            resources: Some(Resources { v_cpu: Some(2), memory_mb: None }),
            env: map(&[("A", "spec"), ("RENSEI_SESSION_ID", "forged"), ("RENSEI_SESSION_TOKEN", "forged")]),
            max_duration_seconds: None,
        };
        let env = compose(
            &parts,
            SessionVariables {
                spec: &spec,
                repository: "configured",
                project_id: "p",
                worker_id: "w",
                directory: Path::new("/s"),
                token: &Secret::from("of this session"),
                orchestrator_url: "",
                secrets: &[Secret::from("by_value")],
            },
        );
        let get = |name: &str| env.get(&OsString::from(name)).and_then(|v| v.to_str());
        assert_eq!((get("A"), get("B"), get("PATH")), (Some("spec"), Some("base"), Some("/bin")));
        assert_eq!((get("RENSEI_SESSION_ID"), get("DONMAI_SESSION_ID")), (Some("s1"), Some("s1")));
        assert_eq!(get("RENSEI_REPOSITORY"), Some("configured"));
        assert_eq!(get("RENSEI_SESSION_TOKEN"), Some("of this session"));
        assert_eq!((get("RENSEI_SESSION_VCPU"), get("RENSEI_SESSION_MEMORY_MB")), (Some("2"), None));
        assert_eq!((get("GITHUB_TOKEN"), get("RENSEI_STUB_MODE")), (Some("the user's own"), Some("hang")));
        for withheld in [
            "RENSEI_DAEMON_TOKEN",
            "DONMAI_DAEMON_JWT",
            "RENSEI_API_KEY",
            "WORKER_API_KEY",
            "MY_REGISTRATION",
            "NEXT_REGISTRATION",
        ] {
            assert_eq!(get(withheld), None, "{withheld}");
        }
    }

    #[test]
    fn impossible_names_are_found() {
        assert_eq!(invalid_name(&map(&[("OK", "x")])), None);
        assert_eq!(invalid_name(&map(&[("A=B", "x")])), Some("A=B"));
        assert_eq!(invalid_name(&map(&[("N", "a\0b")])), Some("N"));
    }
}
