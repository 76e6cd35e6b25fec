//! Routes of the daemon itself.

use super::message::{Answer, OptionalBody};
use super::reply::Refusal;
use super::routes::{Table, says};
use axum::extract::State;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::control::{ActionResponse, DrainRequest, Status};
use std::time::Duration;

/// Longest drain that may be asked for, in seconds: a week.
const MAX_DRAIN: u64 = 7 * 24 * 60 * 60;

pub(super) fn routes<T: Table>(table: T) -> T {
    table
        .get("/healthz", healthz, says("healthz", "host", "Whether the daemon is alive."))
        .get("/api/daemon/status", status, says("status", "host", "State of the daemon."))
        .post("/api/daemon/pause", pause, says("pause", "host", "Takes no more work."))
        .post("/api/daemon/resume", resume, says("resume", "host", "Takes work again; also cancels a drain."))
        .post("/api/daemon/drain", drain, says("drain", "host", "Finishes what runs, then ends; answers at once."))
        .post("/api/daemon/stop", stop, says("stop", "host", "Ends what runs, then itself; answers at once."))
        .post(
            "/api/daemon/update",
            update,
            says(
                "update",
                "host",
                "Looks for a newer version of the daemon and replaces it; answers at once, 501 on a host that cannot.",
            ),
        )
}

async fn healthz() -> &'static str {
    "ok"
}

async fn status(State(daemon): State<DaemonHandle>) -> Answer<Status> {
    Answer(daemon.status())
}

async fn pause(State(daemon): State<DaemonHandle>) -> Result<Answer<ActionResponse>, Refusal> {
    daemon.pause()?;
    Ok(action("paused"))
}

async fn resume(State(daemon): State<DaemonHandle>) -> Result<Answer<ActionResponse>, Refusal> {
    daemon.resume()?;
    Ok(action("resumed"))
}

async fn drain(
    State(daemon): State<DaemonHandle>,
    OptionalBody(request): OptionalBody<DrainRequest>,
) -> Result<Answer<ActionResponse>, Refusal> {
    if request.timeout_seconds.is_some_and(|seconds| seconds > MAX_DRAIN) {
        return Err(Refusal::bad_request(format!("invalid body: timeoutSeconds is more than {MAX_DRAIN} (7 days)")));
    }
    let deadline = daemon.drain(request)?;
    Ok(action(format!("drain initiated (timeout {})", go_duration(deadline))))
}

async fn stop(State(daemon): State<DaemonHandle>) -> Answer<ActionResponse> {
    daemon.stop();
    action("stopping")
}

/// What becomes of it is in the events and in the status.
async fn update(State(daemon): State<DaemonHandle>) -> Result<Answer<ActionResponse>, Refusal> {
    let _goes_on = daemon.update()?;
    Ok(action("update initiated"))
}

fn action(message: impl Into<String>) -> Answer<ActionResponse> {
    Answer(ActionResponse { ok: true, message: message.into() })
}

/// Whole seconds as Go prints them, which clients of the message know: `5s`, `2m0s`, `1h0m0s`.
fn go_duration(duration: Duration) -> String {
    let (total, minute, hour) = (duration.as_secs(), 60, 3600);
    let (hours, minutes, seconds) = (total / hour, total % hour / minute, total % minute);
    match total {
        _ if hours > 0 => format!("{hours}h{minutes}m{seconds}s"),
        _ if minutes > 0 => format!("{minutes}m{seconds}s"),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_prints_them() {
        for (seconds, text) in
            [(0, "0s"), (5, "5s"), (120, "2m0s"), (600, "10m0s"), (3600, "1h0m0s"), (90061, "25h1m1s")]
        {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }
}
