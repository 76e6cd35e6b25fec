//! Workareas over the wire: lists, details, restores, differences.

use crate::fixture::Server;
use rensei_control_api::ControlClient;
use rensei_proto::control::{DiffStatus, PruneRequest};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// An archive of these files.
fn archive(server: &Server, id: &str, files: &[(&str, &str)]) -> PathBuf {
    let path = server.root().join("workareas").join(id);
    fs::create_dir_all(path.join("tree")).unwrap();
    let manifest = json!({"id": id, "sessionId": "s-old", "repository": "/srv/app", "createdAt": "2026-01-02T03:04:05Z",
        "sizeBytes": 5, "toolchain": {"node": "20"}, "unknown": [1]});
    fs::write(path.join("manifest.json"), manifest.to_string()).unwrap();
    for (name, content) in files {
        fs::write(path.join("tree").join(name), content).unwrap();
    }
    path
}

#[tokio::test]
async fn archives_are_listed_and_shown_as_they_are() {
    let server = Server::start().await;
    for path in ["/api/daemon/workareas", "/api/daemon/workareas/"] {
        let empty = server.get(path).await;
        assert_eq!((empty.status, empty.json()), (200, json!({"active": [], "archived": []})));
    }
    let path = archive(&server, "wa-1", &[("f", "x")]);
    fs::create_dir_all(server.root().join("workareas/broken")).unwrap();
    fs::write(server.root().join("workareas/broken/manifest.json"), "{").unwrap();
    let live = server.session("live", "exec sleep 300").await;
    let list = server.get("/api/daemon/workareas").await.json();
    let row = &list["active"][0];
    assert_eq!((&row["id"], &row["status"], &row["projectId"]), (&"live".into(), &"ready".into(), &"app".into()));
    assert_eq!((&row["kind"], &row["providerId"], row["acquiredAt"].is_string()), (&"active".into(), &"".into(), true));
    assert!(list["archived"][0]["disposition"].as_str().unwrap().starts_with("corrupted: "));
    assert_eq!((&list["archived"][1]["id"], &list["archived"][1]["sizeBytes"]), (&"wa-1".into(), &5.into()));

    let shown = server.get("/api/daemon/workareas/wa-1").await.json()["workarea"].clone();
    assert_eq!((&shown["kind"], &shown["status"]), (&"archived".into(), &"archived".into()));
    assert_eq!((&shown["path"], &shown["manifest"]["unknown"]), (&path.display().to_string().into(), &json!([1])));
    assert_eq!((&shown["toolchain"]["node"], &shown["sessionId"]), (&"20".into(), &"s-old".into()));
    let shown = server.get("/api/daemon/workareas/live").await.json()["workarea"].clone();
    assert_eq!((&shown["sessionId"], &shown["repository"]), (&"live".into(), &"/srv/app".into()));

    for (request, status, error) in [
        ("GET /api/daemon/workareas/absent", 404, "no workarea"),
        ("GET /api/daemon/workareas/broken", 400, "archive corrupted: manifest.json"),
        ("GET /api/daemon/workareas/%2e%2e", 400, "invalid archive id"),
        ("GET /api/daemon/workareas/a%2Fb", 400, "invalid archive id"),
        ("GET /api/daemon/workareas/a%5Cb", 400, "invalid archive id"),
        ("GET /api/daemon/workareas/a%00b", 400, "invalid archive id"),
        ("GET /api/daemon/workareas/wa-1/more", 404, "no such route"),
        ("POST /api/daemon/workareas", 405, "method"),
        ("POST /api/daemon/workareas/wa-1", 405, "method"),
        ("GET /api/daemon/workareas/wa-1/restore", 405, "method"),
        ("POST /api/daemon/workareas/wa-1/diff/wa-1", 405, "method"),
    ] {
        let reply = server.call(request, &[], "").await;
        assert_eq!(reply.status, status, "{request}: {reply:?}");
        assert!(reply.error().contains(error), "{request}: {reply:?}");
    }
    server.daemon.stop_session(&live, None).unwrap();
    server.ended(&live).await;
}

#[tokio::test]
async fn a_restore_is_registered_and_conflicts_are_told() {
    let server = Server::start().await;
    archive(&server, "wa-1", &[("f", "x")]);
    let path = "/api/daemon/workareas/wa-1/restore";
    let bad = server.post(path, "{").await;
    assert_eq!((bad.status, bad.error().starts_with("invalid body: ")), (400, true));
    for bad in ["../../x", "a/b", ".hidden", "-rf", "a\\u0000b"] {
        let refused = server.post(path, &format!(r#"{{"intoSessionId":"{bad}"}}"#)).await;
        assert_eq!(refused.status, 400, "{bad}: {refused:?}");
        assert!(refused.error().starts_with("invalid `intoSessionId`: "), "{bad}: {refused:?}");
    }
    let first = server.post(path, r#"{"intoSessionId":"s2","reason":"look"}"#).await;
    assert_eq!(first.status, 201, "{first:?}");
    let restored = first.json()["workarea"].clone();
    assert_eq!((&restored["kind"], &restored["sessionId"]), (&"active".into(), &"s2".into()));
    assert_eq!(fs::read_to_string(PathBuf::from(restored["path"].as_str().unwrap()).join("f")).unwrap(), "x");
    let again = server.post(path, r#"{"intoSessionId":"s2"}"#).await;
    assert_eq!((again.status, again.json()["hint"].is_string()), (409, true));
    let live = server.session("live", "exec sleep 300").await;
    assert_eq!(server.post(path, r#"{"intoSessionId":"live"}"#).await.status, 409);
    assert_eq!(server.post(path, "").await.status, 201);
    assert_eq!(server.post("/api/daemon/workareas/absent/restore", "").await.status, 404);

    let id = restored["id"].as_str().unwrap();
    let shown = server.get(&format!("/api/daemon/workareas/{id}")).await.json()["workarea"].clone();
    assert_eq!(shown, restored);
    let list = server.get("/api/daemon/workareas").await.json();
    let ids: Vec<&Value> = list["active"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!((ids.len(), ids[0], ids[1]), (3, &"live".into(), &restored["id"]));
    let client = ControlClient::new(&format!("http://{}", server.address)).unwrap();
    let request = PruneRequest { ids: vec![id.to_owned(), "absent".to_owned()], ..PruneRequest::default() };
    let pruned = client.prune_workareas(&request).await.unwrap();
    assert_eq!((pruned.removed.len(), pruned.skipped.len()), (1, 1));
    assert_eq!(server.get(&format!("/api/daemon/workareas/{id}")).await.status, 404);
    server.daemon.stop_session(&live, None).unwrap();
    server.ended(&live).await;
}

#[tokio::test]
async fn a_difference_is_one_document_up_to_the_threshold_and_lines_beyond() {
    let config = format!("{}workarea: {{diffStreamingThreshold: 3}}\n", crate::fixture::CONFIG);
    let server = Server::with(&config, |builder| builder).await;
    archive(&server, "a", &[("same", "s"), ("gone", "g")]);
    archive(&server, "three", &[("same", "s"), ("x", "1"), ("y", "2")]);
    archive(&server, "four", &[("same", "s"), ("x", "1"), ("y", "2"), ("z", "3")]);

    let document = server.get("/api/daemon/workareas/a/diff/three").await;
    assert_eq!(document.status, 200);
    let diff = document.json()["diff"].clone();
    let summary = json!({"workareaA": "a", "workareaB": "three", "added": 2, "removed": 1, "modified": 0, "total": 3});
    assert_eq!((&diff["summary"], diff["entries"].as_array().unwrap().len()), (&summary, 3));
    assert_eq!(server.get("/api/daemon/workareas/a/diff/a").await.json()["diff"]["entries"], json!([]));

    let lines = server.get("/api/daemon/workareas/a/diff/four").await;
    assert_eq!((lines.status, lines.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Value> = lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| line["path"].as_str()).collect::<Vec<_>>(),
        [Some("gone"), Some("x"), Some("y"), Some("z"), None]
    );
    assert_eq!((&lines[4]["summary"]["added"], &lines[4]["summary"]["total"]), (&3.into(), &4.into()));

    let client = ControlClient::new(&format!("http://{}", server.address)).unwrap();
    for (other, total) in [("three", 3), ("four", 4), ("a", 0)] {
        let mut heard = Vec::new();
        let summary = client.diff_workareas("a", other, |entry| heard.push(entry.status)).await.unwrap();
        assert_eq!((summary.total, heard.len()), (total, usize::try_from(total).unwrap()), "{other}");
        assert_eq!(heard.first().copied(), (total > 0).then_some(DiffStatus::Removed));
    }
    for (path, status) in [("a/diff/absent", 404), ("a/diff/%2e%2e", 400), ("a/diff", 404), ("a/diff/three/x", 404)] {
        assert_eq!(server.get(&format!("/api/daemon/workareas/{path}")).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_difference_that_breaks_off_ends_with_its_error() {
    let config = format!("{}workarea: {{diffStreamingThreshold: 1}}\n", crate::fixture::CONFIG);
    let server = Server::with(&config, |builder| builder).await;
    archive(&server, "a", &[]);
    let names: Vec<String> = (100..300).map(|name| name.to_string()).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let b = archive(&server, "b", &files);
    // A file that no comparison reads to its end.
    fs::File::create(b.join("tree/9-endless")).unwrap().set_len(1 << 39).unwrap();
    let lines = server.get("/api/daemon/workareas/a/diff/b").await;
    assert_eq!(lines.status, 200);
    let last: Value = serde_json::from_str(lines.body.lines().last().unwrap()).unwrap();
    assert!(last["error"].as_str().unwrap().starts_with("`b` is too large: "), "{last}");
    assert!(lines.body.lines().all(|line| !line.contains("summary")));
    let client = ControlClient::new(&format!("http://{}", server.address)).unwrap();
    let broken = client.diff_workareas("a", "b", |_entry| ()).await;
    assert!(broken.is_err());
}

#[tokio::test]
async fn only_a_live_session_with_a_workarea_is_archived() {
    let server = Server::start().await;
    assert_eq!(server.post("/api/daemon/sessions/none/archive", "").await.status, 404);
    let live = server.session("live", "exec sleep 300").await;
    assert_eq!(server.post("/api/daemon/sessions/live/archive", "").await.status, 404);
    let worktree = server.root().join("worktrees/live");
    fs::create_dir_all(&worktree).unwrap();
    fs::write(worktree.join("work"), "in progress").unwrap();
    let reply = server.post("/api/daemon/sessions/live/archive", r#"{"reason":"look"}"#).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let archived = reply.json()["workarea"].clone();
    assert_eq!(
        (&archived["manifest"]["disposition"], &archived["manifest"]["reason"]),
        (&"live".into(), &"look".into())
    );
    assert_eq!((&archived["projectId"], &archived["sessionId"]), (&"app".into(), &"live".into()));
    assert!(worktree.join("work").exists());
    server.daemon.stop_session(&live, None).unwrap();
    server.ended(&live).await;
}
