//! From a request to the first instruction of the process that it causes.

use crate::bare::{self, BareSpawn};
use crate::error::BenchError;
use crate::rig::{Host, REPOSITORY, Rig};
use crate::stats::{Samples, now_ns};
use crate::{Load, session_dir};
use rensei_control_api::ControlClient;
use rensei_platform_client::OperatorClient;
use rensei_proto::control::{PostSession, PostedDetail};
use rensei_proto::operator::{CreateSession, Session};
use rensei_proto::{SessionId, SessionSpec};
use std::time::{Duration, Instant};
use xtask::{Goal, Report, Row};

/// Longest time that one session may take.
const BOUND: Duration = Duration::from_secs(20);

/// Pause before a measurement. A session counts as ended before daemon and control plane have written that down; a bare
/// spawn right behind it would share the processor with them, and the limit would look worse than it is.
const REST: Duration = Duration::from_millis(20);

async fn settle() {
    tokio::time::sleep(REST).await;
}

/// Through the control plane: create, claim by long poll, accept, spawn.
pub(crate) async fn create_to_exec(rig: &Rig, host: &Host, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let client = rig.operator()?;
    let (through, limit) = against_bare(rig, load, async |_round| create_once(&client, host).await).await?;
    let bare = limit.percentile(50);
    report.add(
        Row::latency("create -> exec, p50", through.percentile(50))
            .limit("bare spawn, p50", bare)
            .goal(Goal::Times(4.0)),
    );
    report.add(
        Row::latency("create -> exec, p99", through.percentile(99))
            .limit("bare spawn, p50", bare)
            .goal(Goal::Times(10.0)),
    );
    report.add(Row::latency("bare spawn, p99", limit.percentile(99)).limit("bare spawn, p50", bare));
    Ok(())
}

/// What `measure` takes and what a bare spawn takes, round by round without the warm-up. Alternating, so that both see
/// the same machine, and each from rest, so that neither pays for the other's end.
async fn against_bare(
    rig: &Rig,
    load: Load,
    measure: impl AsyncFn(usize) -> Result<Duration, BenchError>,
) -> Result<(Samples, Samples), BenchError> {
    let spawn = BareSpawn::new(rig.stamp(), rig.dir().join("bare"))?;
    let (mut through, mut limit) = (Vec::new(), Vec::new());
    for round in 0..load.warm_up + load.sessions {
        settle().await;
        let bare = spawn.once()?;
        settle().await;
        let took = measure(round).await?;
        if round >= load.warm_up {
            limit.push(bare);
            through.push(took);
        }
    }
    Ok((through.into_iter().collect(), limit.into_iter().collect()))
}

async fn create_once(client: &OperatorClient, host: &Host) -> Result<Duration, BenchError> {
    let request = CreateSession { title: Some("dispatch".into()), ..CreateSession::default() };
    let before = now_ns();
    let session = client.create_session(&request).await?;
    let session = wait_for_end(client, session).await?;
    Ok(bare::between(before, bare::read_stamp(&session_dir(host, &session.session_id))?))
}

async fn wait_for_end(client: &OperatorClient, mut session: Session) -> Result<Session, BenchError> {
    let deadline = Instant::now() + BOUND;
    while !session.status.is_terminal() {
        if Instant::now() > deadline {
            return Err(BenchError::TimedOut(format!("session {} ({})", session.session_id, session.status)));
        }
        session = client.wait_session(&session.session_id, session.updated_at, Duration::from_secs(5)).await?;
    }
    Ok(session)
}

/// Through the control API of a host alone: accept, spawn.
pub(crate) async fn accept_to_exec(rig: &Rig, host: &Host, load: Load, report: &mut Report) -> Result<(), BenchError> {
    accept_to_exec_of("accept -> exec", rig, host, load, report).await
}

/// The same for any kind of host.
pub(crate) async fn accept_to_exec_of(
    what: &str,
    rig: &Rig,
    host: &Host,
    load: Load,
    report: &mut Report,
) -> Result<(), BenchError> {
    let client = ControlClient::new(&host.url())?;
    let one = async |round| accept_once(&client, host, &format!("accept-{round}")).await;
    let (through, limit) = against_bare(rig, load, one).await?;
    let bare = limit.percentile(50);
    report.add(
        Row::latency(&format!("{what}, p50"), through.percentile(50))
            .limit("bare spawn, p50", bare)
            .goal(Goal::Times(1.5)),
    );
    let tail = Row::latency(&format!("{what}, p99"), through.percentile(99));
    report.add(tail.limit("bare spawn, p99", limit.percentile(99)));
    Ok(())
}

async fn accept_once(client: &ControlClient, host: &Host, id: &str) -> Result<Duration, BenchError> {
    let post = post(SessionId::parse(id).expect("a generated id is well formed"));
    let before = now_ns();
    client.post_session(&post).await?;
    // Whoever asked at once would compete for the processor with the process that is just being started.
    settle().await;
    until_ended(client, &post.spec.session_id).await?;
    Ok(bare::between(before, bare::read_stamp(&session_dir(host, id))?))
}

/// Waits for the end of a session.
pub(crate) async fn until_ended(client: &ControlClient, id: &SessionId) -> Result<(), BenchError> {
    let deadline = Instant::now() + BOUND;
    while !client.session_record(id).await?.state.is_ended() {
        if Instant::now() > deadline {
            return Err(BenchError::TimedOut(format!("session {id}")));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// A session of nothing but its id.
pub(crate) fn post(session_id: SessionId) -> PostSession {
    let spec = SessionSpec {
        session_id,
        repository: REPOSITORY.into(),
        r#ref: String::new(),
        resources: None,
        env: std::collections::BTreeMap::new(),
        max_duration_seconds: None,
    };
    PostSession { spec, detail: PostedDetail::default() }
}
