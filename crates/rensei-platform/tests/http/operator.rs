use crate::support::{Server, tenant};
use rensei_platform::{InitOptions, init};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn creation_says_what_is_wrong() {
    let server = Server::start().await;
    for (body, part) in [
        (json!({ "priority": 9 }), "priority"),
        (json!({ "maxDurationSeconds": 0 }), "maxDurationSeconds"),
        (json!({ "maxDurationSeconds": -1 }), "invalid body"),
        (json!({ "env": { "A B": "x" } }), "env"),
        (json!({ "prompt": "x".repeat(1024 * 1024 + 1) }), "prompt"),
        (json!([1]), "invalid body"),
    ] {
        let refused = server.http.post("/api/sessions", server.api_key(), body).await.expect(400);
        assert!(refused["error"].as_str().unwrap().starts_with(part), "{refused}");
    }
    let broken = server.http.request("POST", "/api/sessions", server.api_key(), b"{".to_vec());
    server.http.raw(broken).await.expect(400);
    let unknown = server.http.post("/api/sessions", server.api_key(), json!({ "project": "nope" })).await.expect(404);
    assert!(unknown["error"].as_str().unwrap().contains("project `nope`"));

    let options = |repository: Option<&str>| InitOptions {
        data_dir: server.dir.path().to_owned(),
        org: "acme".into(),
        project: "bare".into(),
        repository: repository.map(str::to_owned),
    };
    let bare = init(options(None)).await.unwrap();
    assert_eq!(bare.org_id, server.tenant.org_id);
    let refused = server.http.post("/api/sessions", server.api_key(), json!({ "project": "bare" })).await.expect(400);
    assert!(refused["error"].as_str().unwrap().starts_with("repository"), "{refused}");
    let ambiguous = server.http.post("/api/sessions", server.api_key(), json!({})).await.expect(400);
    assert!(ambiguous["error"].as_str().unwrap().contains("several"), "{ambiguous}");
    // Setting it up again gives it a repository, and leaves it when told nothing.
    assert_eq!(init(options(Some("/srv/git/bare"))).await.unwrap().project_id, bare.project_id);
    init(options(None)).await.unwrap();
    let made = server.http.post("/api/sessions", bare.api_key.expose(), json!({ "project": bare.project_id })).await;
    assert_eq!(made.expect(201)["repository"], "/srv/git/bare");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_newest_first_and_filtered() {
    let server = Server::start().await;
    tenant(server.dir.path(), "acme", "api").await;
    let worker = server.worker("m", 1).await;
    let mut ids = Vec::new();
    for project in ["web", "api", "web"] {
        ids.push(server.create(json!({ "project": project })).await);
    }
    worker.take().await;
    let list = async |query: &str| {
        let answer = server.http.get(&format!("/api/sessions{query}"), server.api_key()).await.expect(200);
        let sessions = answer["sessions"].as_array().unwrap();
        assert_eq!(answer["count"], sessions.len());
        sessions.iter().map(|session| session["sessionId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(list("?project=web").await, [ids[2].clone(), ids[0].clone()]);
    assert_eq!(list("?status=claimed").await, [ids[0].clone()]);
    assert_eq!(list("?limit=1").await, [ids[2].clone()]);
    for bad in ["?status=odd", "?limit=0", "?limit=501", "?limit=many"] {
        server.http.get(&format!("/api/sessions{bad}"), server.api_key()).await.expect(400);
    }
    server.http.get("/api/sessions?project=nope", server.api_key()).await.expect(404);
    // The worker of `web` does not count for `api`.
    let waiting = server.show(&ids[1]).await;
    assert_eq!(waiting["pendingReason"], "project_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_end_with_a_change() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    let session = server.show(&id).await;
    let spawn = |path: String| {
        let (http, key) = (server.http.clone(), server.api_key().to_owned());
        tokio::spawn(async move { http.get(&path, &key).await.expect(200) })
    };
    let changed = spawn(format!("/api/sessions/{id}?wait=50&after={}", session["updatedAt"]));
    worker.take().await;
    let changed: Value = changed.await.unwrap();
    assert_eq!(changed["status"], "claimed");
    assert!(changed["updatedAt"].as_i64() > session["updatedAt"].as_i64(), "also within one millisecond");

    let activity = spawn(format!("/api/sessions/{id}/activities?after=0&wait=50"));
    let body = json!({ "activity": { "type": "action", "content": "ls" } });
    worker.session_call(&id, "activity", body).await.expect(200);
    assert_eq!(activity.await.unwrap()["activities"][0]["content"], "ls");

    let ended = spawn(format!("/api/sessions/{id}/activities?after=1&wait=50"));
    worker.status(&id, "completed", None).await.expect(200);
    assert_eq!(ended.await.unwrap()["sessionStatus"], "completed");
    server.http.get("/api/sessions/nope?wait=50&after=1", server.api_key()).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn activities_are_bounded() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    worker.take().await;
    let body = json!({ "activity": { "type": "action", "content": "ä".repeat(40_000) } });
    worker.session_call(&id, "activity", body).await.expect(200);
    for _ in 0..500 {
        let body = json!({ "activity": { "type": "action", "content": "x" } });
        worker.session_call(&id, "activity", body).await.expect(200);
    }
    let path = format!("/api/sessions/{id}/activities");
    let page = server.http.get(&path, server.api_key()).await.expect(200);
    assert_eq!(page["activities"][0]["content"].as_str().unwrap().len(), 64 * 1024);
    assert_eq!((page["activities"].as_array().unwrap().len(), &page["cursor"]), (500, &json!(500)));
    let rest = server.http.get(&(path + "?after=500"), server.api_key()).await.expect(200);
    assert_eq!(rest["activities"].as_array().unwrap().len(), 1);
}
