//! What happens to sessions, and what their workers write.
//!
//! `cargo run -p rensei-daemon-core --example events`

use rensei_daemon_core::{Daemon, OutputLine, Phase, SessionEvent};
use rensei_proto::control::{PostSession, SessionState};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n")?;

    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let daemon = Daemon::builder(state.path().to_owned())
        .worker_command(["/bin/sh", "-c", "echo hello; exit $CODE"].map(Into::into).to_vec())
        .output_sink(move |line: OutputLine<'_>| {
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            sink.lock().expect("nobody panics with it").push(format!("{}: {text}", line.session_id));
        })
        .build()?
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let mut events = handle.events();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;

    for (id, code) in [("good", "0"), ("bad", "3")] {
        let body = serde_json::json!({"sessionId": id, "repository": "app", "env": {"CODE": code}});
        handle.post_session(serde_json::from_value::<PostSession>(body)?).await?;
    }
    let mut started = Vec::new();
    let mut ended = BTreeMap::new();
    while ended.len() < 2 {
        match events.next().await.as_deref() {
            Some(SessionEvent::Started { handle, .. }) => started.push(handle.session_id.to_string()),
            Some(SessionEvent::Ended { view }) => drop(ended.insert(view.session_id.to_string(), view.state)),
            Some(_) => {}
            None => return Err("the daemon ended first".into()),
        }
    }
    assert_eq!(started, ["good", "bad"]);
    assert_eq!((ended["good"], ended["bad"], events.missed()), (SessionState::Completed, SessionState::Failed, 0));

    // Everything is delivered before the daemon is done.
    handle.stop();
    running.await?;
    let mut lines = lines.lock().expect("nobody panics with it").clone();
    lines.sort();
    assert_eq!(lines, ["bad: hello", "good: hello"]);
    Ok(())
}
