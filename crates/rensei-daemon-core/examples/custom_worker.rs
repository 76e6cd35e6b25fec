//! A worker of your own, with variables that are made for each session just before it starts.
//!
//! `cargo run -p rensei-daemon-core --example custom_worker`

use rensei_daemon_core::{Daemon, Phase, SessionEvent};
use rensei_proto::control::PostSession;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n")?;

    let daemon = Daemon::builder(state.path().to_owned())
        .worker_command(["/bin/sh", "-c", "echo $REGION $TICKET"].map(Into::into).to_vec())
        .base_environment(BTreeMap::from([("REGION".to_owned(), "home".to_owned())]))
        .pre_spawn_hook(Duration::from_millis(250), |spec, mut environment| {
            if spec.session_id.as_str() == "unwanted" {
                return Err("not today".into());
            }
            environment.insert("TICKET".into(), format!("ticket-of-{}", spec.session_id).into());
            Ok(environment)
        })
        .build()?
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let mut events = handle.events();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;

    let post = |id: &str| -> Result<PostSession, serde_json::Error> {
        serde_json::from_value(serde_json::json!({"sessionId": id, "repository": "app"}))
    };
    let refused = handle.post_session(post("unwanted")?).await;
    assert_eq!(refused.map_err(|error| error.to_string()), Err("pre-spawn hook".to_owned()));

    let accepted = handle.post_session(post("wanted")?).await?;
    while let Some(event) = events.next().await {
        if matches!(event.as_ref(), SessionEvent::Ended { .. }) {
            break;
        }
    }
    let output = handle.session_output(&accepted.session_id).ok_or("the session is remembered")?;
    assert_eq!(std::fs::read_to_string(output)?, "home ticket-of-wanted\n");
    handle.stop();
    running.await?;
    Ok(())
}
