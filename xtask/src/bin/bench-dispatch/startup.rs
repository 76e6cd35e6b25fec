//! Memory, start-up and the CLI's own cost.

use crate::Load;
use crate::bare;
use crate::error::BenchError;
use crate::rig::{Host, Rig};
use crate::stats::Samples;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xtask::{Goal, Report, Row};

/// Nobody listens there: the daemon must not wait for it.
const ABSENT_PLATFORM: &str = "orchestrator:\n  url: http://127.0.0.1:1\n  authToken: rsp_live_absent\n";

/// Resident memory of a registered daemon after two idle seconds.
pub(crate) async fn idle_memory(host: &Host, report: &mut Report) -> Result<(), BenchError> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    report.add(Row::memory("daemon, idle and registered", resident_mb(host.pid())?).goal(Goal::AtMost(15.0)));
    Ok(())
}

/// Resident memory of a daemon after the throughput run.
pub(crate) fn memory_after(host: &Host, load: Load, report: &mut Report) -> Result<(), BenchError> {
    report.add(Row::memory(&format!("daemon, after {} sessions", load.jobs), resident_mb(host.pid())?));
    Ok(())
}

pub(crate) fn resident_mb(pid: u32) -> Result<f64, BenchError> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(BenchError::io(Path::new(&path)))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    Ok(kilobytes * 1024.0 / 1e6)
}

/// From the start of the daemon's process to the first `200` of `/healthz`, with a control plane that is not there.
pub(crate) fn start_to_healthz(rig: &Rig, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let mut starts = Vec::new();
    for round in 0..load.starts {
        let started = Instant::now();
        let host = rig.spawn_host(&format!("start-{round}"), &rig.stamp(), ABSENT_PLATFORM)?;
        while !is_healthy(host.port()) {
            if started.elapsed() > Duration::from_secs(20) {
                return Err(BenchError::TimedOut("/healthz".into()));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        starts.push(started.elapsed());
    }
    let samples: Samples = starts.into_iter().collect();
    report.add(Row::latency("start -> /healthz, p50", samples.percentile(50)).goal(Goal::AtMost(20.0)));
    Ok(())
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// `rensei host status` against the cheapest process there is.
pub(crate) fn status_command(rig: &Rig, host: &Host, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let (mut status, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..load.calls {
        limit.push(wall_time(&mut bare::quiet(Path::new("/bin/true")))?);
        status.push(wall_time(&mut rig.status_command(host))?);
    }
    let (status, limit): (Samples, Samples) = (status.into_iter().collect(), limit.into_iter().collect());
    report.add(
        Row::latency("rensei host status, p50", status.percentile(50))
            .limit("start and end of /bin/true, p50", limit.percentile(50))
            .goal(Goal::Times(4.0)),
    );
    Ok(())
}

fn wall_time(command: &mut Command) -> Result<Duration, BenchError> {
    let program = std::path::PathBuf::from(command.get_program());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().map_err(|source| BenchError::Start { program, source })?;
    let took = started.elapsed();
    if status.success() {
        return Ok(took);
    }
    Err(BenchError::Unexpected { what: format!("{command:?} ended with {status}"), output: String::new() })
}
