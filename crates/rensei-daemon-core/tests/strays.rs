//! Workareas that an earlier daemon left.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_proto::control::PostSession;
use rensei_testkit::{FakePlatform, PATIENCE, TempState};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A repository with one commit.
fn repository(at: &Path) -> PathBuf {
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        assert!(Command::new("git").args(identity).args(args).current_dir(at).status().unwrap().success(), "{args:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    at.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_a_session_whose_record_cannot_be_read_is_archived() {
    let outside = tempfile::tempdir().unwrap();
    let repository = repository(outside.path());
    let platform = FakePlatform::start().await;
    let state = TempState::new(&platform);
    let config = fs::read_to_string(state.root().join("daemon.yaml")).unwrap();
    fs::write(state.root().join("daemon.yaml"), config.replace("/srv/app", repository.to_str().unwrap())).unwrap();
    let host = state.start_apart().await;
    let post = json!({"sessionId": "s1", "repository": "app", "env": {"SCRIPT": "exec sleep 300"}});
    let post = serde_json::from_value::<PostSession>(post).unwrap();
    let id = host.handle().post_session(post).await.unwrap().session_id;
    let workarea = host.handle().acquire_workarea(&id).await.unwrap();
    fs::write(Path::new(&workarea.path).join("work"), "hours of it").unwrap();
    let state = host.crash().await;
    fs::write(state.root().join("sessions/s1/record.jsonl"), "{\"kind\":\"garbage\n").unwrap();

    let host = state.start().await;
    let archived = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(row) = host.handle().workareas().await.unwrap().archived.pop() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let row = archived.await.unwrap();
    assert_eq!((row.session_id.as_str(), row.disposition.as_str(), row.r#ref.as_str()), ("s1", "failed", ""));
    let archive = host.root().join("workareas").join(&row.id);
    assert_eq!(fs::read_to_string(archive.join("tree/work")).unwrap(), "hours of it");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(archive.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["commit"], json!(workarea.commit));
    assert!(manifest["reason"].as_str().unwrap().contains("could not be read"), "{manifest}");
    assert!(!Path::new(&workarea.path).exists());
    host.stop().await;
}
