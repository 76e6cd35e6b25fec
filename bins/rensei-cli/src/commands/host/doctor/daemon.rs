//! The running daemon, and what it knows of its control plane.

use super::check::Check;
use crate::commands::host::client::HostClient;
use crate::commands::host::status::{next_step, skew};
use crate::error::{CommandError, CommandResult};
use crate::output::text;
use crate::output::time::{ago, now_ms, parse_ms};
use rensei_proto::control::{HostState, Organization, Registration, RegistrationState, Status, WorkareaStatus};

/// Who answers at the control port.
#[derive(Debug)]
pub(super) enum Found {
    /// A daemon.
    Daemon(Box<Status>),
    /// Nobody.
    Nobody,
    /// Something else, or a daemon that does not want to.
    Trouble(CommandError),
}

impl Found {
    pub(super) const fn status(&self) -> Option<&Status> {
        match self {
            Self::Daemon(status) => Some(status),
            Self::Nobody | Self::Trouble(_) => None,
        }
    }
}

/// Asks whoever listens.
pub(super) async fn look(client: &HostClient) -> Found {
    let asked: CommandResult<Option<Status>> = client.ask_if_running(async |api| api.status().await).await;
    match asked {
        Ok(Some(status)) => Found::Daemon(Box::new(status)),
        Ok(None) => Found::Nobody,
        Err(error) => Found::Trouble(error),
    }
}

/// Whether a daemon answers, and whether it works.
pub(super) fn reachable(client: &HostClient, found: &Found) -> Check {
    let url = client.url();
    match found {
        Found::Nobody => Check::error("daemon", format!("nothing listens on {url}"), "start it: `rensei host run`"),
        Found::Trouble(error) => {
            let fix = error.hints().first().cloned();
            let fix = fix.unwrap_or_else(|| {
                "see who listens there: `ss -ltnp`; or use another: `rensei host run --port <port>`".to_owned()
            });
            Check::error("daemon", format!("{url} is taken, but no daemon answers: {error}"), fix)
        }
        Found::Daemon(status) => match (&status.incident, status.status) {
            (Some(incident), _) => {
                Check::error("daemon", incident.clone(), "see more: `rensei host logs --level warn`")
            }
            (None, HostState::Paused) => {
                Check::warning("daemon", format!("paused, at {url}"), "accept work again: `rensei host resume`")
            }
            (None, state) => Check::ok("daemon", format!("{state}, pid {}, at {url}", status.pid)),
        },
    }
}

/// Checks that need a daemon.
pub(super) fn checks(status: &Status) -> Vec<Check> {
    let mut checks = vec![restart(status)];
    checks.extend(version(status, env!("CARGO_PKG_VERSION")));
    if let Some(registration) = &status.registration {
        checks.push(registered(registration));
        if registration.state != RegistrationState::Local {
            checks.push(platform(registration, now_ms()));
            checks.push(clock(registration));
        }
    }
    checks.extend(status.organizations.iter().filter(|organization| !organization.name.is_empty()).map(organization));
    checks
}

/// What failed sessions left and could not be archived; nothing when all of it is.
pub(super) async fn retained(client: &HostClient) -> Option<Check> {
    let list = client.ask(async |api| api.workareas().await).await.ok()?;
    let mut kept = list.active.iter().filter(|row| row.status == WorkareaStatus::Invalid);
    let first = kept.next()?;
    let detail = format!(
        "{} of failed sessions not archived; {}: {}",
        text::count(1 + kept.count(), "workarea"),
        first.id,
        first.disposition
    );
    let fix = "make room, then see them archived: `rensei workarea list`; or delete one: `rensei workarea prune <id>`";
    Some(Check::warning("archives", detail, fix))
}

/// One that is worked for beside that of `daemon.yaml`.
fn organization(organization: &Organization) -> Check {
    let (name, Organization { file, .. }) = ("organization", organization);
    match &organization.config_error {
        Some(mistake) => {
            let fix = "correct the file; the running host takes it in at once";
            Check::error(name, format!("{file} is not used as it is: {mistake}"), fix)
        }
        None if !organization.ignored_keys.is_empty() => {
            let keys = organization.ignored_keys.join(", ");
            Check::warning(name, format!("no effect in {file}: {keys}"), "say it in daemon.yaml, or remove it there")
        }
        None => {
            let check = registered(&organization.registration);
            Check { name, detail: format!("{}: {}", organization.name, check.detail), ..check }
        }
    }
}

fn restart(status: &Status) -> Check {
    if status.restart_needed.is_empty() {
        return Check::ok("restart", "the running configuration is the one on disk");
    }
    let fix = "`rensei host drain`, then start the daemon again";
    Check::warning("restart", format!("needed for {}", status.restart_needed.join(", ")), fix)
}

/// After an upgrade the old program goes on until somebody starts the new one.
fn version(status: &Status, own: &str) -> Option<Check> {
    let fix = "`rensei host drain`, then start the daemon again";
    let detail = || format!("the daemon is {}, this program is {own}", text::clean(&status.version));
    (status.version != own).then(|| Check::warning("version", detail(), fix))
}

fn registered(registration: &Registration) -> Check {
    let name = "registration";
    let Registration { url, worker_id, suspended, .. } = registration;
    let reason = registration.last_error.as_deref().unwrap_or("no answer yet");
    let fix = next_step(registration).unwrap_or_else(|| "look again: `rensei host status`".to_owned());
    match registration.state {
        RegistrationState::Local => {
            let why = registration.last_error.as_deref().unwrap_or("no control plane is configured");
            Check::ok(name, format!("{why}; local sessions only"))
        }
        RegistrationState::Refused => Check::error(name, format!("not registered at {url}: {reason}"), fix),
        RegistrationState::Connecting if registration.last_error.is_none() => {
            Check::warning(name, format!("registering at {url}"), fix)
        }
        RegistrationState::Connecting => Check::error(name, format!("not registered at {url}: {reason}"), fix),
        RegistrationState::Registered | RegistrationState::Unreachable => match suspended {
            Some(why) => {
                let fix = "ask whoever runs the control plane; what runs goes on: `rensei host sessions`";
                Check::warning(name, format!("{worker_id} is to claim nothing: {why}"), fix)
            }
            None => Check::ok(name, format!("{worker_id} at {url}")),
        },
    }
}

/// Whether the control plane answers the daemon, which may see another network than this command.
fn platform(registration: &Registration, now: i64) -> Check {
    let Registration { url, last_error, last_heartbeat_at, .. } = registration;
    let beat = last_heartbeat_at.as_deref().and_then(parse_ms).map(|at| format!("last heartbeat {}", ago(at, now)));
    match (registration.state, last_error) {
        (RegistrationState::Registered, _) => Check::ok("platform", beat.unwrap_or_else(|| format!("{url} answers"))),
        (_, Some(error)) => {
            let health = format!("{}/api/health", url.trim_end_matches('/'));
            let fix = format!("see whether it answers: `curl {}`", text::quoted(&health));
            let since = beat.map(|beat| format!("; {beat}")).unwrap_or_default();
            Check::error("platform", format!("{url}: {error}{since}"), fix)
        }
        (_, None) => Check::unknown("platform", format!("{url} has not answered yet")),
    }
}

fn clock(registration: &Registration) -> Check {
    match registration.clock_skew_seconds {
        Some(seconds) => Check::error("clock", skew(seconds), "set it: `timedatectl set-ntp true`"),
        None => Check::ok("clock", "within a minute of the control plane's"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn registration(json: &str) -> Registration {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_refused_token_is_named() {
        let found = registered(&registration(r#"{"state":"refused","url":"http://p","lastError":"HTTP 401"}"#));
        assert!(found.status == Verdict::Error && found.detail.contains("HTTP 401"), "{found:?}");
        let fix = found.fix.unwrap();
        assert!(fix.contains("orchestrator.authToken") && fix.contains("rensei platform init"), "{fix}");
    }

    #[test]
    fn the_control_plane_is_seen_through_the_daemon() {
        let verdicts = |json: &str| {
            let registration = registration(json);
            [registered(&registration), platform(&registration, 0), clock(&registration)].map(|check| check.status)
        };
        use Verdict::{Error, Ok, Unknown, Warning};
        assert_eq!(verdicts(r#"{"state":"registered","workerId":"w"}"#), [Ok, Ok, Ok]);
        assert_eq!(verdicts(r#"{"state":"unreachable","workerId":"w","lastError":"x"}"#), [Ok, Error, Ok]);
        assert_eq!(verdicts(r#"{"state":"connecting"}"#), [Warning, Unknown, Ok]);
        assert_eq!(verdicts(r#"{"state":"connecting","lastError":"x"}"#), [Error, Error, Ok]);
        assert_eq!(verdicts(r#"{"state":"registered","suspended":"pool_draining"}"#), [Warning, Ok, Ok]);
        assert_eq!(verdicts(r#"{"state":"registered","clockSkewSeconds":-90}"#), [Ok, Ok, Error]);
    }
}
