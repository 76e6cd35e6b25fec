//! What the daemon costs while sessions run: a large heap beside it, output, idleness, memory.

use crate::bare::quiet;
use crate::error::BenchError;
use crate::latency::{self, post, until_ended};
use crate::rig::{Host, Rig};
use crate::startup::resident_mb;
use crate::stats::Samples;
use crate::{Load, session_dir};
use rensei_control_api::ControlClient;
use rensei_proto::SessionId;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xtask::{Goal, Report, Row};

/// Heap of the program that embeds a host, in megabytes.
const HEAP_MB: usize = 1024;
/// Lines of one measurement of output, of [`LINE`] bytes each.
const LINES: u32 = 1_000_000;
const LINE: usize = 80;
/// Measurements of output.
const ROUNDS: usize = 5;
/// Clock ticks of `/proc/<pid>/stat`, per second.
const TICKS: f64 = 100.0;

/// Everything of this suite. The rig's scratch should be in memory: what is measured is the product, not the disk.
pub(crate) async fn measure(rig: &mut Rig, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let local = rig.start_local_host("local", &rig.stamp()).await?;
    latency::accept_to_exec(rig, &local, load, report).await?;
    rig.stop_host(local).await?;
    let heavy = rig.start_heavy_host("heavy", HEAP_MB).await?;
    latency::accept_to_exec_of("accept -> exec, 1 GB of heap", rig, &heavy, load, report).await?;
    rig.stop_host(heavy).await?;
    output(rig, report).await?;
    let idle = rig.start_host("idle", &rig.stamp()).await?;
    idleness(&idle, load, report).await?;
    rig.stop_host(idle).await?;
    memory(rig, report).await
}

/// Lines per second from a child to the disk, against `cat` into a file.
async fn output(rig: &Rig, report: &mut Report) -> Result<(), BenchError> {
    let source = rig.dir().join("lines");
    let text = format!("{}\n", "x".repeat(LINE - 1)).repeat(LINES as usize);
    fs::write(&source, &text).map_err(BenchError::io(&source))?;
    let host = rig.start_shell_host("output", 8, &format!("exec cat '{}'", source.display())).await?;
    let client = ControlClient::new(&host.url())?;
    let (mut through, mut limit) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        limit.push(cat(&source, &rig.dir().join("copy"))?);
        through.push(carried(&client, &host, round, text.len()).await?);
    }
    rig.stop_host(host).await?;
    let rate = |taken: Vec<Duration>| f64::from(LINES) * 1e3 / taken.into_iter().collect::<Samples>().percentile(50);
    let (through, limit) = (rate(through), rate(limit));
    report.add(
        Row::rate("lines of output to disk", through).limit("cat into a file", limit).goal(Goal::AtLeast(1_000_000.0)),
    );
    Ok(())
}

fn cat(source: &Path, target: &Path) -> Result<Duration, BenchError> {
    let file = File::create(target).map_err(BenchError::io(target))?;
    let before = Instant::now();
    let program = PathBuf::from("/bin/cat");
    let ended = quiet(&program).arg(source).stdout(file).status();
    ended.map_err(|source| BenchError::Start { program, source })?;
    let took = before.elapsed();
    fs::remove_file(target).map_err(BenchError::io(target))?;
    Ok(took)
}

/// One session that prints everything, until the daemon says that it has ended.
async fn carried(client: &ControlClient, host: &Host, round: usize, bytes: usize) -> Result<Duration, BenchError> {
    let id = SessionId::parse(&format!("output-{round}")).expect("a generated id is well formed");
    let before = Instant::now();
    client.post_session(&post(id.clone())).await?;
    until_ended(client, &id).await?;
    let took = before.elapsed();
    let log = session_dir(host, id.as_str()).join("output.log");
    let written = fs::metadata(&log).map_err(BenchError::io(&log))?.len();
    if written == bytes as u64 {
        return Ok(took);
    }
    Err(BenchError::Unexpected { what: format!("{written} of {bytes} bytes of output arrived"), output: String::new() })
}

/// Processor time of a daemon that is registered and has nothing to do.
async fn idleness(host: &Host, load: Load, report: &mut Report) -> Result<(), BenchError> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = processor_ms(host.pid())?;
    tokio::time::sleep(load.idle).await;
    let per_minute = (processor_ms(host.pid())? - before) * 60.0 / load.idle.as_secs_f64();
    report.add(Row::latency("processor time, idle, per minute", per_minute).goal(Goal::AtMost(60.0)));
    Ok(())
}

fn processor_ms(pid: u32) -> Result<f64, BenchError> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    let text = fs::read_to_string(&path).map_err(BenchError::io(&path))?;
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks * 1000.0 / TICKS)
}

/// Resident memory of the daemon while sessions run.
async fn memory(rig: &Rig, report: &mut Report) -> Result<(), BenchError> {
    let host = rig.start_shell_host("memory", 64, "exec sleep 600").await?;
    let client = ControlClient::new(&host.url())?;
    let mut running = 0;
    for wanted in [8, 64] {
        while running < wanted {
            let id = SessionId::parse(&format!("running-{running}")).expect("a generated id is well formed");
            client.post_session(&post(id)).await?;
            running += 1;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let row = Row::memory(&format!("daemon, with {wanted} sessions"), resident_mb(host.pid())?);
        report.add(row.goal(Goal::AtMost(15.0)));
    }
    client.stop().await?;
    rig.stop_host(host).await
}
