//! A machine whose processors are all taken by the host's own children.
#![cfg(target_os = "linux")]

use rensei_testkit::{Call, FakePlatform, TempState, WorkItem};

/// Children for each processor.
const LOAD: usize = 12;
/// Beats at their usual cadence that must go out meanwhile: four seconds' worth, for which there is a minute.
const BEATS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_go_out_while_children_take_every_processor() {
    let platform = FakePlatform::start().await;
    platform.cadence(200, 50);
    let children = LOAD * std::thread::available_parallelism().unwrap().get();
    let host = TempState::with_slots(&platform, children).start().await;
    for number in 0..children {
        platform.enqueue(&WorkItem::new(&format!("busy-{number}")).attempt(1).script("while :; do :; done"));
    }
    let live = host
        .until(|host| {
            let live = host.handle().live_sessions();
            (live.len() == children && live.iter().all(|session| session.pid != 0)).then_some(live)
        })
        .await;
    platform.until_more(Call::Heartbeat, BEATS).await;
    // It is not luck: they give way to the host, for the processor and for memory.
    for session in live {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", session.pid)).unwrap();
        let nice = read("stat").rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
        assert_eq!((nice.as_str(), read("oom_score_adj").trim()), ("5", "500"), "{}", session.session_id);
    }
    assert_eq!(host.handle().live_sessions().len(), children, "and nobody had to go for it");
    host.stop().await;
}
