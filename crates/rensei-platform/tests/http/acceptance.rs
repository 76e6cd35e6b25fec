use crate::support::{ACCEPT, LEASE, Server, Worker};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Takes a session that nobody accepts; when it is back in the queue, the time to accept is over for all that were
/// taken before.
async fn until_acceptance_is_over(server: &Server, probe: &Worker) {
    let id = server.create(json!({})).await;
    assert_eq!(probe.take().await.0, id);
    server.clock.advance(ACCEPT);
    server.until_status(&id, "pending").await;
    server.http.post(&format!("/api/sessions/{id}/cancel"), server.api_key(), json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_its_owner_says_of_a_claimed_session_accepts_it() {
    for call in ["heartbeat", "lock-refresh", "activity"] {
        let server = Server::start().await;
        let (worker, probe) = (server.worker("m", 1).await, server.worker("probe", 1).await);
        let id = server.create(json!({})).await;
        let (_, attempt) = worker.take().await;
        match call {
            "heartbeat" => worker.beat(json!({ "sessions": [{ "sessionId": id, "attempt": attempt }] })).await,
            "lock-refresh" => worker.session_call(&id, call, json!({ "attempt": attempt })).await,
            _ => {
                let activity = json!({ "type": "thought", "content": "x" });
                worker.session_call(&id, call, json!({ "attempt": attempt, "activity": activity })).await
            }
        }
        .expect(200);
        until_acceptance_is_over(&server, &probe).await;
        let session = server.show(&id).await;
        assert_eq!((&session["status"], &session["attempt"]), (&json!("claimed"), &json!(1)), "{call}");
        // From here on it is a question of the lease.
        server.clock.advance(LEASE - ACCEPT);
        let session = server.until_status(&id, "pending").await;
        assert_eq!(session["pendingReason"], "requeued_lease_expired", "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_its_host_runs_survives_an_outage_of_the_control_plane() {
    let mut server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    worker.take().await;
    // The control plane goes away before the host could say `running`, and stays away for long.
    server.stop().await;
    server.clock.advance(LEASE * 10);
    let server =
        Server::serve(Arc::clone(&server.dir), server.tenant.clone(), server.clock.clone(), Default::default()).await;
    let (worker, probe) = (server.worker("m", 1).await, server.worker("probe", 1).await);
    let held = json!({ "sessions": [{ "sessionId": id, "attempt": 1 }] });
    for _ in 0..4 {
        server.clock.advance(ACCEPT / 3);
        worker.beat(held.clone()).await.expect(200);
        until_acceptance_is_over(&server, &probe).await;
        worker.beat(held.clone()).await.expect(200);
        let session = server.show(&id).await;
        assert_eq!((&session["status"], &session["attempt"]), (&json!("claimed"), &json!(1)));
    }
    worker.status(&id, "running", Some(1)).await.expect(200);
    worker.status(&id, "completed", Some(1)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_worker_keeps_what_it_has_accepted() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    worker.take().await;
    worker.session_call(&id, "lock-refresh", json!({ "attempt": 1 })).await.expect(200);
    let answer = server.http.delete(&format!("/api/workers/{}", worker.id), server.api_key()).await.expect(200);
    assert_eq!(answer["unclaimedSessions"], json!([]));
    server.clock.advance(Duration::from_secs(1));
    worker.status(&id, "completed", Some(1)).await.expect(200);
}
