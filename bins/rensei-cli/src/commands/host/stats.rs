//! `rensei host stats` and `rensei capacity status`.

mod pool;

use super::client::HostClient;
use crate::args::host::StatsArgs;
use crate::commands::Context;
use crate::commands::watch::{self, Page};
use crate::error::CommandResult;
use crate::output::rows::Rows;
use crate::output::table::{Value, table};
use crate::output::time::uptime;
use crate::output::{Output, text};
use rensei_control_api::StatsQuery;
use rensei_proto::control::{CapacityStats, MachineStats, OrganizationStats, RegistrationStats, Stats};
use std::process::ExitCode;

/// Repositories that are named; the rest is counted.
const NAMED_PROJECTS: usize = 6;
/// Ending of the identity of a host that only pretends to be registered.
const STUB: &str = "-stub";

/// Which page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Focus {
    /// Everything.
    Host,
    /// Capacity and load alone.
    Capacity,
}

/// Shows capacity and load and, of a host, who it is and whom it serves.
pub(in crate::commands) async fn run(context: &Context, args: StatsArgs, focus: Focus) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &args.look.address)?;
    let query = StatsQuery { pool: args.pool, by_machine: args.by_machine };
    watch::show(context, &args.look, async || {
        let stats = client.ask(async |api| api.stats(query).await).await?;
        let text = page(&context.output, &stats, focus);
        Ok(Page { document: stats, text, hints: Vec::new() })
    })
    .await
}

fn page(output: &Output, stats: &Stats, focus: Focus) -> String {
    let mut rows = Rows::new();
    if focus == Focus::Host {
        rows.add("Worker", worker(&stats.worker_id));
        rows.add("Registration", registration(&stats.registration));
        rows.add("Allowed projects", projects(&stats.allowed_projects));
        for further in stats.organizations.iter().filter(|organization| !organization.name.is_empty()) {
            rows.add("Org", organization(further));
        }
    }
    add_load(&mut rows, stats);
    rows.add("Timestamp", text::clean(&stats.timestamp));
    let machines = stats.by_machine.as_deref().map(|machines| per_machine(output, machines));
    let pool = stats.pool.as_ref().map(|pool| pool::section(output, pool));
    std::iter::once(rows.to_string()).chain(pool).chain(machines).collect::<Vec<_>>().join("\n\n")
}

fn add_load(rows: &mut Rows, stats: &Stats) {
    let CapacityStats {
        max_concurrent_sessions,
        max_vcpu_per_session,
        max_memory_mb_per_session,
        reserved_vcpu,
        reserved_memory_mb,
    } = stats.capacity;
    let megabytes = |n: u32| (n > 0).then(|| format!("{n} MB"));
    rows.add("Active sessions", format_args!("{} / {max_concurrent_sessions}", stats.active_sessions));
    rows.add("Queue depth", stats.queue_depth);
    rows.add_some("Max vCPU/session", Some(max_vcpu_per_session).filter(|n| *n > 0));
    rows.add_some("Max mem/session", megabytes(max_memory_mb_per_session));
    rows.add_some("Reserved vCPU", Some(reserved_vcpu).filter(|n| *n > 0));
    rows.add_some("Reserved memory", megabytes(reserved_memory_mb));
}

fn worker(id: &str) -> String {
    match text::clean(id).as_ref() {
        "" => "(unregistered)".to_owned(),
        stub if stub.ends_with(STUB) => format!("{stub} (stub)"),
        id => id.to_owned(),
    }
}

/// One that is worked for beside that of `daemon.yaml`.
fn organization(organization: &OrganizationStats) -> String {
    let (name, worker) = (text::clean(&organization.name), worker(&organization.worker_id));
    let sessions = text::count(organization.active_sessions, "session");
    let projects = text::count(organization.allowed_projects.len(), "project");
    format!("{name}: {worker}, {sessions}, {projects} · {}", registration(&organization.registration))
}

fn registration(registration: &RegistrationStats) -> String {
    let RegistrationStats { status, last_heartbeat_at, heartbeat_running, poll_running } = registration;
    if status.is_empty() {
        return "(unknown)".to_owned();
    }
    let word = |runs: bool| if runs { "running" } else { "stopped" };
    let mut parts = vec![
        text::clean(status).into_owned(),
        format!("heartbeat={}", word(*heartbeat_running)),
        format!("poll={}", word(*poll_running)),
    ];
    if !last_heartbeat_at.is_empty() {
        parts.push(format!("last-heartbeat={}", text::clean(last_heartbeat_at)));
    }
    parts.join(" · ")
}

fn projects(repositories: &[String]) -> String {
    if repositories.is_empty() {
        return "0 (every session is refused; add `projects` to daemon.yaml)".to_owned();
    }
    let named: Vec<_> = repositories.iter().take(NAMED_PROJECTS).map(|repository| text::place(repository)).collect();
    let hidden = repositories.len() - named.len();
    let more = if hidden > 0 { format!(", … (+{hidden} more)") } else { String::new() };
    format!("{} — {}{more}", repositories.len(), named.join(", "))
}

fn per_machine(output: &Output, machines: &[MachineStats]) -> String {
    let row = |machine: &MachineStats| {
        [
            text::clean(&machine.id).into(),
            text::clean(&machine.region).into(),
            Value::toned(super::status::tone(machine.status), machine.status),
            machine.active_sessions.to_string().into(),
            machine.capacity.max_concurrent_sessions.to_string().into(),
            uptime(machine.uptime_seconds).into(),
        ]
    };
    let headings = ["MACHINE", "REGION", "STATUS", "ACTIVE", "MAX", "UPTIME"];
    let table = table(output, headings, &["REGION", "UPTIME"], machines.iter().map(row));
    format!("{}\n{}", output.heading("Per-machine:"), text::indented(&table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    fn stats(json: &str) -> Stats {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_page_has_the_documented_rows() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let stats = stats(
            r#"{"capacity":{"maxConcurrentSessions":8,"maxVCpuPerSession":4,"maxMemoryMbPerSession":8192,
            "reservedVCpu":2,"reservedMemoryMb":16384},"activeSessions":2,"queueDepth":0,"timestamp":"2026-06-02T14:00:00Z",
            "workerId":"wkr_1-stub","registration":{"status":"busy","lastHeartbeatAt":"2026-06-02T13:59:48Z",
            "heartbeatRunning":true},"allowedProjects":["a","b","c","d","e","f","https://u:p@g/h"]}"#,
        );
        let expected = "  Worker:           wkr_1-stub (stub)\n  \
            Registration:     busy · heartbeat=running · poll=stopped · last-heartbeat=2026-06-02T13:59:48Z\n  \
            Allowed projects: 7 — a, b, c, d, e, f, … (+1 more)\n  Active sessions:  2 / 8\n  Queue depth:      0\n  \
            Max vCPU/session: 4\n  Max mem/session:  8192 MB\n  Reserved vCPU:    2\n  Reserved memory:  16384 MB\n  \
            Timestamp:        2026-06-02T14:00:00Z";
        assert_eq!(page(&output, &stats, Focus::Host), expected);
        assert!(page(&output, &stats, Focus::Capacity).starts_with("  Active sessions:  2 / 8\n"));
    }

    #[test]
    fn further_organisations_have_a_line_each() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let stats = stats(
            r#"{"capacity":{"maxConcurrentSessions":8},"activeSessions":1,"queueDepth":0,"timestamp":"t","organizations":[
            {"activeSessions":0},{"name":"partner","activeSessions":1,"workerId":"w2","allowedProjects":["a"],
            "registration":{"status":"idle","heartbeatRunning":true}}]}"#,
        );
        let line = "  Org:              partner: w2, 1 session, 1 project · idle · heartbeat=running · poll=stopped\n";
        let text = page(&output, &stats, Focus::Host);
        assert!(text.contains(line) && text.matches("Org:").count() == 1, "{text}");
    }

    #[test]
    fn an_idle_host_without_a_control_plane() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let stats = stats(
            r#"{"capacity":{"maxConcurrentSessions":0},"activeSessions":0,"queueDepth":0,"timestamp":"t","byMachine":[
            {"id":"m","region":"","status":"ready","version":"1","activeSessions":0,"capacity":{"maxConcurrentSessions":0},
            "uptimeSeconds":61,"lastSeenAt":"t"}]}"#,
        );
        let text = page(&output, &stats, Focus::Host);
        assert!(text.starts_with("  Worker:           (unregistered)\n  Registration:     (unknown)\n"), "{text}");
        assert!(text.contains("Allowed projects: 0 (") && !text.contains("vCPU"), "{text}");
        let table = "Per-machine:\n  MACHINE  REGION  STATUS  ACTIVE  MAX  UPTIME\n  m                ready   0       0    1m1s";
        assert!(text.ends_with(table), "{text}");
    }
}
