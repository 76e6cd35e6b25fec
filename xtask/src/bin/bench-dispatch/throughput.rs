//! Sessions per second through the whole loop.

use crate::Load;
use crate::bare;
use crate::error::BenchError;
use crate::rig::Rig;
use futures_util::future::try_join_all;
use rensei_platform_client::{ListQuery, OperatorClient};
use rensei_proto::SessionStatus;
use rensei_proto::operator::CreateSession;
use std::path::Path;
use std::time::{Duration, Instant};
use xtask::{Goal, Report, Row};

/// Connections that create sessions.
const CREATORS: usize = 4;
/// Slowest rate at which this still ends.
const SLOWEST_PER_SECOND: u64 = 20;

/// Creates `jobs` sessions of `/bin/true` as fast as the control plane takes them, until it says that all have ended.
pub(crate) async fn whole_loop(rig: &Rig, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let limit = bare::starts_per_second(Path::new("/bin/true"), Duration::from_millis(1500))?;
    let watcher = rig.operator()?;
    let completed_before = count(&watcher, SessionStatus::Failed).await?;
    let started = Instant::now();
    let creators: Vec<_> = (0..CREATORS).map(|_| rig.operator()).collect::<Result<_, _>>()?;
    let bound = Duration::from_secs(30 + load.jobs as u64 / SLOWEST_PER_SECOND);
    let all = async {
        try_join_all(creators.iter().map(|client| create(client, load.jobs / CREATORS))).await?;
        wait_until_idle(&watcher).await
    };
    tokio::time::timeout(bound, all).await.map_err(|_| BenchError::TimedOut("all sessions to end".into()))??;
    let seconds = started.elapsed().as_secs_f64();
    if count(&watcher, SessionStatus::Failed).await? > completed_before {
        return Err(BenchError::Unexpected { what: "sessions of /bin/true failed".into(), output: String::new() });
    }
    let rate = (load.jobs / CREATORS * CREATORS) as f64 / seconds;
    report.add(
        Row::rate("/bin/true sessions per second", rate)
            .limit("bare spawns per second", limit)
            .goal(Goal::AtLeast(1000.0)),
    );
    Ok(())
}

async fn create(client: &OperatorClient, count: usize) -> Result<(), BenchError> {
    let request = CreateSession { title: Some("throughput".into()), ..CreateSession::default() };
    for _ in 0..count {
        client.create_session(&request).await?;
    }
    Ok(())
}

/// Waits until no session is on its way. A session only moves forward, so one look at each status in order is enough.
async fn wait_until_idle(client: &OperatorClient) -> Result<(), BenchError> {
    for status in [SessionStatus::Pending, SessionStatus::Claimed, SessionStatus::Running, SessionStatus::Finalizing] {
        while count(client, status).await? > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// Sessions in a status, as far as one short page shows.
async fn count(client: &OperatorClient, status: SessionStatus) -> Result<usize, BenchError> {
    let query = ListQuery { status: Some(status), limit: Some(1), ..ListQuery::default() };
    Ok(client.list_sessions(&query).await?.sessions.len())
}
