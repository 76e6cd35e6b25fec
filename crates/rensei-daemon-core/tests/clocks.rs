//! A wall clock that is set, and a machine that sleeps.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_proto::control::{RegistrationState, SessionState};
use rensei_testkit::{Answer, Call, Capture, FakePlatform, Fault, TempHost, TempState, WorkItem};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY_SECONDS: i64 = 24 * 3600;
/// An interval that does not end in a test: whatever happens sooner has another reason.
const AN_HOUR_MS: u64 = 3_600_000;

async fn running_session(platform: &FakePlatform, host: &TempHost) {
    platform.enqueue(&WorkItem::new("running").attempt(1).script("exec sleep 300"));
    platform.reported("running", "running").await;
    assert_eq!(host.view("running").unwrap().state, SessionState::Running);
}

#[tokio::test]
async fn after_a_suspend_of_an_hour_every_lane_goes_on_at_once() {
    let platform = FakePlatform::start().await;
    platform.cadence(AN_HOUR_MS, AN_HOUR_MS);
    let host = TempState::new(&platform).start().await;
    running_session(&platform, &host).await;
    // The connection of the held poll dies unnoticed.
    platform.fault(Call::Poll, Fault::Hang);
    platform.enqueue(&WorkItem::new("before").attempt(1));
    platform.ended("before").await;
    platform.until(|platform| (platform.count(Call::Poll) >= 3).then_some(())).await;
    let (beats, polls) = (platform.count(Call::Heartbeat), platform.count(Call::Poll));
    assert_eq!(platform.count(Call::RefreshToken), 0);
    host.clock().suspend(HOUR);
    platform.until_count(Call::Heartbeat, beats + 1).await;
    platform.until_count(Call::Poll, polls + 1).await;
    // The token has grown old in its sleep.
    platform.until_count(Call::RefreshToken, 1).await;
    platform.enqueue(&WorkItem::new("after").attempt(1));
    assert_eq!(platform.ended("after").await["status"], "completed");
    assert_eq!(host.view("running").unwrap().state, SessionState::Running, "what ran goes on");
    assert_eq!(platform.count(Call::Register), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_host_that_slept_while_nobody_answered_asks_again_at_once() {
    let platform = FakePlatform::start().await;
    platform.always(Call::Register, Answer::json(503, "{}").header("retry-after", "3600"));
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Register, 1).await;
    host.until(|host| host.handle().registration().last_error).await;
    platform.heal();
    host.clock().suspend(HOUR);
    platform.until_count(Call::Heartbeat, 1).await;
    host.until(|host| (host.handle().registration().state == RegistrationState::Registered).then_some(())).await;
    host.stop().await;
}

#[tokio::test]
async fn a_wall_clock_that_is_set_by_a_day_ends_nothing_and_delays_nothing() {
    for day in [DAY_SECONDS, -DAY_SECONDS] {
        let capture = Capture::install();
        let platform = FakePlatform::start().await;
        platform.cadence(AN_HOUR_MS, 20);
        let host = TempState::new(&platform).start().await;
        running_session(&platform, &host).await;
        let beats = platform.count(Call::Heartbeat);
        host.clock().jump(day);
        // The control plane, and with it the operator, hears of the other clock at once; nothing else has changed.
        platform.until_count(Call::Heartbeat, beats + 1).await;
        platform.expire_tokens();
        platform.enqueue(&WorkItem::new("after").attempt(1));
        host.handle().stop_session(&rensei_proto::SessionId::parse("running").unwrap(), None).unwrap();
        assert_eq!(platform.ended("running").await["status"], "stopped");
        assert_eq!(platform.ended("after").await["status"], "completed");
        assert_eq!((platform.count(Call::Register), platform.count(Call::RefreshToken)), (1, 1), "{day}");
        let (_, state) = host.stop().await;
        // Nor does a start with that clock forget whom it is.
        let host = state.start().await;
        platform.enqueue(&WorkItem::new("again").attempt(1));
        platform.ended("again").await;
        assert_eq!(platform.count(Call::Register), 1);
        host.stop().await;
        capture.assert_clean();
    }
}
