//! A host in a program of your own: one session, its end, and the end of the host.
//!
//! `cargo run -p rensei-daemon-core --example minimal`

use rensei_daemon_core::{Daemon, Phase, SessionEvent};
use rensei_proto::control::PostSession;
use std::error::Error;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    let config = "machine: {id: example}\nprojects:\n- {id: app, repository: /srv/app}\n";
    std::fs::write(state.path().join("daemon.yaml"), config)?;

    let daemon = Daemon::builder(state.path().to_owned())
        // A real host starts `rensei agent run` here.
        .worker_command(["/bin/sh", "-c", "echo working on $RENSEI_REPOSITORY"].map(Into::into).to_vec())
        .build()?
        // Where workers would reach the control API; this host serves none.
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let mut events = handle.events();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;

    let session: PostSession = serde_json::from_str(r#"{"sessionId": "first", "repository": "app"}"#)?;
    handle.post_session(session).await?;
    while let Some(event) = events.next().await {
        if let SessionEvent::Ended { view } = event.as_ref() {
            assert_eq!(view.exit_code, Some(0));
            break;
        }
    }
    handle.stop();
    let finished = running.await?;
    assert_eq!(finished.forced, 0);
    Ok(())
}
