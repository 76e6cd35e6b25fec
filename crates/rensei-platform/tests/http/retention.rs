use crate::support::{ACCEPT, START_MS, Server};
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ids of the sessions that the control plane knows, newest first.
async fn known(server: &Server) -> Vec<String> {
    let list = server.http.get("/api/sessions?limit=500", server.api_key()).await.expect(200);
    let sessions = list["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["sessionId"].as_str().unwrap().to_owned()).collect()
}

/// Lets time pass until only these are left.
async fn until_left(server: &Server, expected: &[String]) {
    for _ in 0..1_000 {
        if known(server).await == expected {
            return;
        }
        server.clock.advance(Duration::from_secs(1));
    }
    panic!("they are never forgotten");
}

async fn cancel(server: &Server, id: &str) {
    server.http.post(&format!("/api/sessions/{id}/cancel"), server.api_key(), json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_a_month_ago_is_forgotten() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let old = server.create(json!({ "prompt": "long ago" })).await;
    let (_, attempt) = worker.take().await;
    worker.cannot_take(&old, attempt).await.expect(200);
    server.clock.advance(Duration::from_secs(2));
    let (_, attempt) = worker.take().await;
    let activity = json!({ "attempt": attempt, "activity": { "type": "thought", "content": "x" } });
    worker.session_call(&old, "activity", activity).await.expect(200);
    worker.status(&old, "completed", Some(attempt)).await.expect(200);
    // More than are removed at a time.
    for _ in 0..70 {
        let id = server.create(json!({})).await;
        cancel(&server, &id).await;
    }
    let waiting = server.create(json!({})).await;
    server.clock.advance(DAY * 15);
    let younger = server.create(json!({})).await;
    cancel(&server, &younger).await;
    server.clock.advance(DAY * 15 - Duration::from_secs(60));
    let activities = format!("/api/sessions/{old}/activities");
    let page = server.http.get(&activities, server.api_key()).await.expect(200);
    assert_eq!(page["activities"].as_array().unwrap().len(), 1, "not a minute too early");
    server.clock.advance(Duration::from_secs(120));
    until_left(&server, &[younger, waiting]).await;
    server.http.get(&activities, server.api_key()).await.expect(404);
    server.http.get(&format!("/api/sessions/{old}"), server.api_key()).await.expect(404);
}

const YEAR_MS: i64 = 1_000 * 60 * 60 * 24 * 365;

/// What is left after the control plane has looked twice, oldest last.
async fn left_after_two_looks(server: &Server) -> Vec<String> {
    for _ in 0..2 {
        // Its return to the queue shows that the control plane has looked.
        let worker = server.worker("m", 1).await;
        let probe = server.create(json!({})).await;
        assert_eq!(worker.take().await.0, probe);
        server.clock.advance(ACCEPT);
        while server.show(&probe).await["status"] == "claimed" {
            server.clock.advance(Duration::from_secs(1));
        }
        cancel(server, &probe).await;
    }
    known(server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_makes_nothing_forgotten_at_once() {
    for restart in [false, true] {
        let mut server = Server::start().await;
        let id = server.create(json!({})).await;
        cancel(&server, &id).await;
        server.clock.set_wall(START_MS + YEAR_MS);
        if restart {
            server = server.restart().await;
        }
        let mut left = left_after_two_looks(&server).await;
        assert_eq!((left.pop(), left.len()), (Some(id), 2), "restart: {restart}");
        server.clock.advance(Duration::from_secs(60 * 60));
        until_left(&server, &left).await;
    }
}
