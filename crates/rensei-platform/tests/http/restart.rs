use crate::support::{LEASE, Server, options, tenant};
use rensei_platform::{ManualClock, Platform, ServeError};
use serde_json::json;
use std::error::Error as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything_and_renews_leases() {
    let server = Server::start().await;
    let worker = server.worker("m", 2).await;
    let (running, waiting) = (server.create(json!({})).await, server.create(json!({ "priority": 5 })).await);
    let attempt = worker.poll(0).await.len();
    assert_eq!(attempt, 2);
    worker.status(&running, "running", Some(1)).await.expect(200);
    worker.nack(&waiting, 1).await.expect(200);
    let body = json!({ "activity": { "type": "thought", "content": "kept" } });
    worker.session_call(&running, "activity", body).await.expect(200);
    let mut server = server;
    server.stop().await;
    // Nobody could renew meanwhile.
    server.clock.advance(LEASE * 3);
    let server =
        Server::serve(Arc::clone(&server.dir), server.tenant.clone(), server.clock.clone(), Default::default()).await;
    let again = server.worker("m", 2).await;
    assert_eq!(again.id, worker.id);
    assert_eq!(again.take().await, (waiting, 2), "the queue, and the refusal that is over");
    server.clock.advance(LEASE - Duration::from_secs(1));
    let beat = json!({ "sessions": [{ "sessionId": running, "attempt": 1 }] });
    again.beat(beat).await.expect(200);
    again.status(&running, "completed", Some(1)).await.expect(200);
    let page = server.http.get(&format!("/api/sessions/{running}/activities"), server.api_key()).await.expect(200);
    assert_eq!(page["activities"][0]["content"], "kept");
    assert_eq!(server.restart().await.show(&running).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_is_set_ends_no_lease() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    worker.take().await;
    worker.status(&id, "running", Some(1)).await.expect(200);
    server.clock.set_wall(crate::support::START_MS + 3_000_000);
    server.clock.advance(Duration::from_secs(61));
    // The reaper has looked by the time it takes this one back.
    let probe = server.create(json!({})).await;
    let other = server.worker("m2", 1).await;
    let poll = other.take().await;
    assert_eq!(poll.0, probe);
    server.clock.advance(Duration::from_secs(61));
    server.until_status(&probe, "pending").await;
    assert_eq!(server.show(&id).await["attempt"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_per_directory_and_port() {
    let mut server = Server::start().await;
    let clock = Arc::new(ManualClock::new(0));
    let refused = Platform::bind_with_clock(options(server.dir.path()), clock.clone()).await.unwrap_err();
    let cause = refused.source().unwrap().to_string();
    assert!(cause.contains(&format!("pid {}", std::process::id())), "{cause}");
    assert!(refused.hint().unwrap().contains("--data-dir"));

    let elsewhere = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut busy = options(elsewhere.path());
    busy.listen = taken.local_addr().unwrap();
    let refused = Platform::bind_with_clock(busy, clock.clone()).await.unwrap_err();
    assert!(matches!(refused, ServeError::Listen { .. }) && refused.hint().unwrap().contains("--listen"), "{refused}");

    // Setting up a tenant works beside the server; what it made is known at once.
    let other = tenant(server.dir.path(), "late", "p").await;
    server.http.get("/api/sessions", other.api_key.expose()).await.expect(200);
    server.stop().await;
    Platform::bind_with_clock(options(server.dir.path()), clock).await.unwrap();
    for name in ["platform.db", "jwt-secret", "platform.lock"] {
        let mode = std::fs::metadata(server.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_requests_do_not_hold_the_shutdown() {
    let mut server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    worker.take().await;
    let session = server.show(&id).await;
    let poll = tokio::spawn({
        let worker = worker.clone();
        async move { worker.poll(55).await }
    });
    let refresh = tokio::spawn({
        let (worker, id) = (worker.clone(), id.clone());
        async move { worker.session_call(&id, "lock-refresh?wait=25", json!({})).await.expect(200) }
    });
    let show = tokio::spawn({
        let (http, key) = (server.http.clone(), server.api_key().to_owned());
        let path = format!("/api/sessions/{id}?wait=55&after={}", session["updatedAt"]);
        async move { http.get(&path, &key).await.expect(200) }
    });
    server.until_held(3).await;
    server.stop().await;
    assert!(poll.await.unwrap().is_empty());
    assert_eq!(refresh.await.unwrap()["refreshed"], true);
    assert_eq!(show.await.unwrap()["status"], "claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn serving_without_a_tenant_works() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::bind(options(&dir.path().join("new/dir"))).await.unwrap();
    platform.run(async {}).await.unwrap();
}
