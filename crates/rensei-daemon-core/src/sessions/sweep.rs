//! Ends what left its session's process group and outlived its session.
//!
//! Looking at every process costs milliseconds, so one look serves all sessions that ended shortly before.

use super::{MARKER, Sessions};
use rensei_process::{env_values, kill_marked};
use rensei_proto::SessionId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long ends are collected for one look.
const COLLECT: Duration = Duration::from_secs(1);

/// Sweeps after ends, until dropped.
pub(super) async fn sweep(sessions: &Arc<Sessions>) {
    loop {
        sessions.sweep.notified().await;
        tokio::time::sleep(COLLECT).await;
        let looking = Arc::clone(sessions);
        // Looks at files of the kernel only, but at many.
        let found = tokio::task::spawn_blocking(move || sweep_once(&looking)).await.unwrap_or_default();
        if found > 0 {
            // One may have been forking while it was killed.
            sessions.sweep.notify_one();
        }
    }
}

/// Kills what carries the marker of a session of this host that is not live. The answer is how many there were.
fn sweep_once(sessions: &Sessions) -> usize {
    let root = sessions.parts.state.sessions();
    let strays = env_values(MARKER).into_iter().filter(|(value, _pids)| {
        let id = Path::new(value).strip_prefix(&root).ok().and_then(|id| SessionId::parse(id.to_str()?).ok());
        // Read after the processes were: a session that began meanwhile is live by now, or it began later, and then
        // its processes, which may carry the same marker as an earlier attempt's, are not among these.
        id.is_some_and(|id| !sessions.is_live(&id))
    });
    let killed = strays.map(|(marker, pids)| (kill_marked(&pids, MARKER, &marker), pids.len()).1).sum();
    if killed > 0 {
        tracing::info!(event = "swept", processes = killed, "processes of ended sessions killed");
    }
    killed
}
