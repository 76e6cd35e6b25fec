//! `rensei host status`.

use super::client::HostClient;
use crate::args::daemon::LookArgs;
use crate::commands::Context;
use crate::commands::watch::{self, Page};
use crate::error::CommandResult;
use crate::output::rows::Rows;
use crate::output::time::{ago, now_ms, parse_ms, span, uptime};
use crate::output::{Output, Tone, text};
use rensei_proto::control::{
    HostState, Organization, Registration, RegistrationState, Status, UpdateOutcome, UpdateResult,
};
use std::process::ExitCode;
use std::time::Duration;

/// Shows what the daemon says of itself.
pub(super) async fn run(context: &Context, args: LookArgs) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &args.address)?;
    watch::show(context, &args, async || {
        let status = client.ask(async |api| api.status().await).await?;
        let text = rows(&context.output, &status, now_ms()).to_string();
        let hints = status.registration.as_ref().and_then(next_step).into_iter().collect();
        Ok(Page { document: status, text, hints })
    })
    .await
}

fn rows(output: &Output, status: &Status, now: i64) -> Rows {
    let mut rows = Rows::new();
    rows.add("Daemon", output.paint(tone(status.status), status.status));
    rows.add("Machine", text::clean(&status.machine_id));
    rows.add("Version", text::clean(&status.version));
    rows.add("PID", status.pid);
    rows.add("Uptime", uptime(status.uptime_seconds));
    rows.add("Sessions", format_args!("{} / {}", status.active_sessions, status.max_sessions));
    rows.add("Projects", format_args!("{} allowed", status.projects_allowed));
    rows.add("Timestamp", text::clean(&status.timestamp));
    if let Some(registration) = &status.registration {
        add_registration(&mut rows, output, registration, now);
    }
    status.organizations.iter().for_each(|organization| add_organization(&mut rows, output, organization));
    let stale = status.restart_needed.join(", ");
    rows.add_some("Restart", (!stale.is_empty()).then(|| format!("needed for {}", text::clean(&stale))));
    rows.add_some("Update", status.update.as_ref().map(|update| update_line(output, update)));
    rows.add_some("Incident", status.incident.as_deref().map(text::clean));
    rows
}

/// How the last update ended, or that one runs.
fn update_line(output: &Output, update: &UpdateResult) -> String {
    let (at, reason) = (text::clean(&update.at), text::clean(&update.reason));
    let tone = match update.outcome {
        UpdateOutcome::Started => Tone::Busy,
        UpdateOutcome::NoOp | UpdateOutcome::Replaced => Tone::Good,
        UpdateOutcome::Refused | UpdateOutcome::Failed | UpdateOutcome::Unknown => Tone::Bad,
    };
    let line = format!("{} at {at}", update.outcome.name());
    let line = if reason.is_empty() { line } else { format!("{line}: {reason}") };
    output.paint(tone, line).to_string()
}

pub(super) const fn tone(state: HostState) -> Tone {
    match state {
        HostState::Ready => Tone::Good,
        HostState::Paused => Tone::Notice,
        HostState::Draining | HostState::Updating => Tone::Busy,
        HostState::Stopped => Tone::Bad,
    }
}

fn add_registration(rows: &mut Rows, output: &Output, registration: &Registration, now: i64) {
    let (tone, line) = standing(registration);
    rows.add("Platform", output.paint(tone, line));
    let beat = registration.last_heartbeat_at.as_deref().and_then(parse_ms);
    rows.add_some("Heartbeat", beat.map(|at| ago(at, now)));
    rows.add_some("Suspended", registration.suspended.as_deref().map(text::clean));
    rows.add_some("Clock", registration.clock_skew_seconds.map(skew));
}

/// One line for each organisation beside that of `daemon.yaml`, and one for each file that is not used as it is.
fn add_organization(rows: &mut Rows, output: &Output, organization: &Organization) {
    if !organization.name.is_empty() {
        let (tone, line) = standing(&organization.registration);
        let (name, sessions) = (text::clean(&organization.name), text::count(organization.active_sessions, "session"));
        let leaving = if organization.leaving { ", leaving" } else { "" };
        let suspended = organization.registration.suspended.as_deref().map(text::clean);
        let suspended = suspended.map(|why| format!(", suspended: {why}")).unwrap_or_default();
        rows.add("Org", format_args!("{name}: {}, {sessions}{leaving}{suspended}", output.paint(tone, line)));
    }
    let ignored = organization.ignored_keys.join(", ");
    let file = text::clean(&organization.file);
    let ignored = (!ignored.is_empty()).then(|| format!("no effect in {file}: {}", text::clean(&ignored)));
    rows.add_some("Config", ignored.map(|ignored| output.paint(Tone::Notice, ignored).to_string()));
    let mistake = organization.config_error.as_deref().map(text::clean);
    rows.add_some("Config", mistake.map(|mistake| output.paint(Tone::Bad, format!("not used: {mistake}")).to_string()));
}

/// How registration stands, on one line.
fn standing(registration: &Registration) -> (Tone, String) {
    let (url, worker) = (text::clean(&registration.url), text::clean(&registration.worker_id));
    let reason = registration.last_error.as_deref().map(text::clean).unwrap_or_default();
    match registration.state {
        RegistrationState::Local if reason.is_empty() => (Tone::Faint, "none; local sessions only".to_owned()),
        RegistrationState::Local => (Tone::Faint, format!("none: {reason}; local sessions only")),
        RegistrationState::Registered => (Tone::Good, format!("registered as {worker} at {url}")),
        RegistrationState::Connecting if reason.is_empty() => (Tone::Busy, format!("connecting to {url}")),
        RegistrationState::Connecting => (Tone::Busy, format!("connecting: {reason}")),
        RegistrationState::Refused => (Tone::Bad, format!("refused: {reason}")),
        RegistrationState::Unreachable => (Tone::Notice, format!("registered as {worker}, unreachable: {reason}")),
    }
}

/// What to do about a registration that does not work.
pub(super) fn next_step(registration: &Registration) -> Option<String> {
    let url = text::clean(&registration.url);
    match registration.state {
        RegistrationState::Local | RegistrationState::Registered => None,
        RegistrationState::Connecting | RegistrationState::Unreachable => {
            registration.last_error.as_deref().filter(|reason| !reason.is_empty())?;
            let look = format!("curl {}/api/health", text::quoted(url.trim_end_matches('/')));
            Some(format!("the daemon keeps trying; see whether a control plane answers: `{look}`"))
        }
        RegistrationState::Refused => Some(
            "set `orchestrator.authToken` to a registration token; the host takes it up at once; \
             `rensei platform init`, where the control plane runs, prints one"
                .to_owned(),
        ),
    }
}

/// A clock that is off breaks tokens, so it is said plainly.
pub(super) fn skew(seconds: i64) -> String {
    let side = if seconds >= 0 { "behind" } else { "ahead of" };
    let by = span(Duration::from_secs(seconds.unsigned_abs()));
    format!("this machine is {by} {side} the control plane; set its clock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    #[test]
    fn the_page_is_aligned_as_documented() {
        let status: Status = serde_json::from_str(
            r#"{"status":"ready","machineId":"m1","version":"0.11.2","pid":12345,"uptimeSeconds":15780,
            "activeSessions":2,"maxSessions":8,"projectsAllowed":1,"timestamp":"2026-06-02T14:00:00Z",
            "registration":{"state":"registered","url":"http://p","workerId":"wkr_1",
            "lastHeartbeatAt":"2026-06-02T13:59:48Z","clockSkewSeconds":3600}}"#,
        )
        .unwrap();
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let text = rows(&output, &status, parse_ms("2026-06-02T14:00:00Z").unwrap()).to_string();
        let expected = "  Daemon:    ready\n  Machine:   m1\n  Version:   0.11.2\n  PID:       12345\n  Uptime:    4h23m\n  \
            Sessions:  2 / 8\n  Projects:  1 allowed\n  Timestamp: 2026-06-02T14:00:00Z\n  \
            Platform:  registered as wkr_1 at http://p\n  Heartbeat: 12s ago\n  \
            Clock:     this machine is 1h behind the control plane; set its clock";
        assert_eq!(text, expected);
    }

    #[test]
    fn further_organisations_have_a_line_each_and_broken_files_are_named() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let organizations: Vec<Organization> = serde_json::from_str(
            r#"[{"file":"/r/daemon.yaml","projectsAllowed":1,"registration":{"state":"local"}},
            {"name":"partner","file":"/r/daemon-partner.yaml","activeSessions":1,"leaving":true,"ignoredKeys":["capacity","kit"],
            "registration":{"state":"registered","url":"http://p","workerId":"w"}},
            {"name":"new","file":"/r/daemon-new.yaml","configError":"/r/daemon-new.yaml:2:1: no","registration":{"state":"local"}}]"#,
        )
        .unwrap();
        let mut rows = Rows::new();
        organizations.iter().for_each(|organization| add_organization(&mut rows, &output, organization));
        let expected = "  Org:       partner: registered as w at http://p, 1 session, leaving\n  \
            Config:    no effect in /r/daemon-partner.yaml: capacity, kit\n  \
            Org:       new: none; local sessions only, 0 sessions\n  Config:    not used: /r/daemon-new.yaml:2:1: no";
        assert_eq!(rows.to_string(), expected);
    }

    #[test]
    fn an_update_has_a_line() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        for (outcome, reason, line) in [
            ("started", "", "started at T"),
            ("refused", r"sig-rejected: \u001b[31mno", "refused at T: sig-rejected: no"),
        ] {
            let json =
                format!(r#"{{"updated":false,"version":"1","reason":"{reason}","outcome":"{outcome}","at":"T"}}"#);
            assert_eq!(update_line(&output, &serde_json::from_str(&json).unwrap()), line);
        }
    }

    #[test]
    fn every_registration_state_says_what_is_wrong() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        for (state, expected) in [
            ("local", "none: no answer; local sessions only"),
            ("connecting", "connecting: no answer"),
            ("refused", "refused: no answer"),
            ("unreachable", "registered as w, unreachable: no answer"),
        ] {
            let json = format!(r#"{{"state":"{state}","workerId":"w","lastError":"no answer"}}"#);
            let mut rows = Rows::new();
            add_registration(&mut rows, &output, &serde_json::from_str(&json).unwrap(), 0);
            assert_eq!(rows.to_string(), format!("  Platform:  {expected}"));
        }
    }

    #[test]
    fn a_registration_that_does_not_work_has_a_next_step() {
        let of = |state: &str, error: &str| {
            let text = format!(r#"{{"state":"{state}","url":"http://p:1/","lastError":"{error}"}}"#);
            next_step(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(of("registered", ""), None);
        assert_eq!(of("connecting", ""), None, "it has only just begun");
        assert!(of("connecting", "refused").unwrap().contains("`curl http://p:1/api/health`"));
        assert!(of("refused", "HTTP 401").unwrap().contains("orchestrator.authToken"));
    }
}
