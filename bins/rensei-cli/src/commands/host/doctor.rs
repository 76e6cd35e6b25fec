//! `rensei host doctor`: what keeps this host from working, and what to do about it.

mod check;
mod config;
mod daemon;
mod machine;
mod ports;
mod service;
mod state;

use super::client::HostClient;
use crate::args::host::DoctorArgs;
use crate::commands::{Context, block_on};
use crate::error::{CommandError, CommandResult};
use crate::output::{Tone, text};
use check::{Check, Verdict};
use serde::Serialize;
use service::Service;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What was found. The first five names are those of earlier hosts of the family, which scripts look for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(rename = "OS")]
    os: &'static str,
    #[serde(rename = "ServicePath")]
    service_path: PathBuf,
    #[serde(rename = "Installed")]
    installed: bool,
    /// Absent when nobody can tell.
    #[serde(rename = "Active")]
    active: Option<bool>,
    #[serde(rename = "Detail")]
    detail: String,
    /// The program that looks.
    host_binary: PathBuf,
    binary_present: bool,
    /// Whether no check failed.
    healthy: bool,
    checks: Vec<Check>,
}

/// Looks at everything; the exit code is 1 when something is broken.
pub(super) fn run(context: &Context, args: &DoctorArgs) -> CommandResult<ExitCode> {
    let report = block_on(examine(context, args))?;
    if args.ask.json {
        context.output.json(&report)?;
    } else {
        context.output.line(page(context, &report))?;
    }
    if report.healthy { Ok(ExitCode::SUCCESS) } else { Err(CommandError::reported()) }
}

async fn examine(context: &Context, args: &DoctorArgs) -> CommandResult<Report> {
    let root = context.state_root()?;
    let client = HostClient::new(context, &args.ask.address)?;
    let service = Service::inspect(&context.env, args.system).await;
    let found = daemon::look(&client).await;
    let mut checks = vec![service.check(), daemon::reachable(&client, &found)];
    let config = args.config.clone().map_or_else(|| root.join("daemon.yaml"), |path| context.expand(path));
    let read = config::load(&config, &context.env);
    checks.push(config::check(&config, &read));
    let metrics = read.ok().and_then(|loaded| loaded.config.observability?.metrics_port);
    checks.extend(ports::checks(client.url(), &found, metrics));
    checks.extend(state::checks(&root, found.status()));
    if let Some(status) = found.status() {
        checks.extend(daemon::checks(status));
        checks.extend(daemon::retained(&client).await);
    }
    checks.push(machine::git(&context.env).await);
    checks.extend(machine::disk(&root));
    let host_binary = std::env::current_exe().unwrap_or_default();
    Ok(Report {
        os: service::OS,
        installed: service.installed,
        active: service.active,
        detail: service.detail,
        service_path: service.path,
        binary_present: host_binary.is_file(),
        host_binary,
        healthy: checks.iter().all(|check| check.status != Verdict::Error),
        checks,
    })
}

/// Values of the upper part share this column.
const COLUMN: usize = 19;

fn page(context: &Context, report: &Report) -> String {
    let home = context.env.get("HOME").map(Path::new);
    let active = report.active.map_or_else(|| "(unknown)".to_owned(), |active| active.to_string());
    let rows = [
        ("OS:", report.os.to_owned()),
        ("Service path:", below_home(&report.service_path, home)),
        ("Service installed:", report.installed.to_string()),
        ("Service active:", active),
        ("Host binary:", below_home(&report.host_binary, home)),
        ("Binary present:", report.binary_present.to_string()),
    ];
    let mut page: String =
        rows.iter().map(|(label, value)| format!("{label:COLUMN$}{}\n", text::clean(value))).collect();
    let widest = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &report.checks {
        let word = context.output.paint(check.status.tone(), format_args!("{:<7}", check.status.word()));
        let detail = text::clean(&check.detail);
        write!(page, "\n  {word}  {:widest$}  {detail}", check.name).expect("writing to a String does not fail");
        if let Some(fix) = &check.fix {
            let fix = format!("{:indent$}fix: {}", "", text::clean(fix), indent = widest + 13);
            write!(page, "\n{}", context.output.paint(Tone::Busy, fix)).expect("writing to a String does not fail");
        }
    }
    let _infallible = write!(page, "\n\n{}", summary(context, &report.checks));
    page
}

fn summary(context: &Context, checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|check| check.status == verdict).count();
    let (errors, warnings) = (count(Verdict::Error), count(Verdict::Warning));
    match (errors, warnings) {
        (0, 0) => context.output.paint(Tone::Good, "healthy"),
        (0, some) => context.output.paint(Tone::Notice, format_args!("healthy, with {}", text::count(some, "warning"))),
        (some, 0) => context.output.paint(Tone::Bad, text::count(some, "problem")),
        (some, more) => {
            let both = format!("{}, {}", text::count(some, "problem"), text::count(more, "warning"));
            context.output.paint(Tone::Bad, both)
        }
    }
}

/// A path as people write it.
fn below_home(path: &Path, home: Option<&Path>) -> String {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
