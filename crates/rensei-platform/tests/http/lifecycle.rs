use crate::support::{LEASE, Server};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn transitions_over_http() {
    let server = Server::start().await;
    let worker = server.worker("m", 100).await;
    let statuses = ["running", "finalizing", "completed", "failed", "stopped"];
    // From which status (reached over which reports) each of the above is allowed.
    let table: [(&[&str], [u16; 5]); 6] = [
        (&[], [200, 200, 200, 200, 200]),
        (&["running"], [200, 200, 200, 200, 200]),
        (&["running", "finalizing"], [409, 200, 200, 200, 200]),
        (&["running", "completed"], [409, 409, 200, 409, 409]),
        (&["running", "finalizing", "failed"], [409, 409, 409, 200, 409]),
        (&["stopped"], [409, 409, 409, 409, 200]),
    ];
    for (reports, expected) in table {
        for (next, expected) in statuses.into_iter().zip(expected) {
            let id = server.create(json!({})).await;
            let attempt = Some(worker.take().await.1);
            for report in reports {
                worker.status(&id, report, attempt).await.expect(200);
            }
            let before = server.show(&id).await;
            let answer = worker.status(&id, next, attempt).await;
            assert_eq!(answer.status, expected, "{reports:?} -> {next}: {}", answer.body);
            if expected == 409 {
                assert_eq!(answer.body["code"], "illegal_transition");
                assert_eq!(server.show(&id).await, before, "a refusal changes nothing");
            } else if reports.last() == Some(&next) && before["endedAt"].is_i64() {
                assert_eq!(answer.body["updated"], false);
                assert_eq!(server.show(&id).await, before, "neither does a repetition");
            }
            worker.status(&id, "stopped", attempt).await;
        }
    }
    let id = server.create(json!({})).await;
    worker.status(&id, "running", None).await.expect_code(409, "lease_lost");
    worker.take().await;
    for word in ["pending", "claimed", "Running", ""] {
        worker.status(&id, word, None).await.expect(400);
    }
    worker.status("unknown", "running", None).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_session_as_its_operator_sees_it() {
    let server = Server::start().await;
    let worker = server.worker("host-1", 1).await;
    let id = server.create(json!({ "title": "T", "resolvedProfile": { "provider": "shell" } })).await;
    let attempt = worker.take().await.1;
    worker.status(&id, "running", Some(attempt)).await.expect(200);
    let say = |kind: &str, content: &str| {
        worker.session_call(
            &id,
            "activity",
            json!({ "attempt": attempt, "activity": { "type": kind, "content": content, "toolName": "sh" } }),
        )
    };
    assert_eq!(say("thought", "hm").await.expect(200)["activityId"], 1);
    say("", "x").await.expect(400);
    let progress = json!({ "message": "cloned", "milestone": "worktree" });
    worker.session_call(&id, "progress", progress).await.expect(200);
    worker.session_call(&id, "completion", json!({ "summary": " " })).await.expect(400);
    worker.session_call(&id, "completion", json!({ "summary": "done" })).await.expect(200);
    let report = json!({
        "status": "failed", "attempt": attempt, "error": { "message": "exit code 3" }, "worktreePath": "/w",
        "result": { "exitCode": 3, "outputTail": ["boom"], "pushed": false },
    });
    worker.session_call(&id, "status", report).await.expect(200);
    let session = server.show(&id).await;
    for (field, value) in [
        ("status", json!("failed")),
        ("error", json!("exit code 3")),
        ("summary", json!("done")),
        ("hostname", json!("host-1")),
        ("workerId", json!(worker.id)),
        ("worktreePath", json!("/w")),
        ("provider", json!("shell")),
        ("project", json!("web")),
        ("stopRequested", json!(false)),
    ] {
        assert_eq!(session[field], value, "{field}");
    }
    assert_eq!(session["result"]["outputTail"], json!(["boom"]));
    let same = server.http.get(&format!("/api/sessions/{id}/status"), &worker.token).await.expect(200);
    assert_eq!(same["status"], "failed");
    let page = server.http.get(&format!("/api/sessions/{id}/activities"), server.api_key()).await.expect(200);
    let texts: Vec<_> =
        page["activities"].as_array().unwrap().iter().map(|entry| entry["content"].as_str().unwrap()).collect();
    assert_eq!((texts, &page["cursor"]), (vec!["hm", "[worktree] cloned"], &json!(2)));
    let rest =
        server.http.get(&format!("/api/sessions/{id}/activities?after=2&wait=50"), server.api_key()).await.expect(200);
    assert_eq!(
        (&rest["activities"], &rest["sessionStatus"], &rest["cursor"]),
        (&json!([]), &json!("failed"), &json!(2))
    );
    say("thought", "late").await.expect_code(409, "illegal_transition");
    worker.session_call(&id, "completion", json!({ "summary": "late, but ours" })).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_session_is_cancelled_at_once() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    let cancel = format!("/api/sessions/{id}/cancel");
    let session = server.http.post(&cancel, server.api_key(), json!({ "reason": "mistake" })).await.expect(200);
    assert_eq!((&session["status"], &session["stopRequested"]), (&json!("stopped"), &json!(true)));
    assert!(worker.poll(0).await.is_empty());
    assert_eq!(server.http.post(&cancel, server.api_key(), json!({})).await.expect(200), session, "again: nothing");
}

async fn cancel(server: &Server, id: &str) -> Value {
    let path = format!("/api/sessions/{id}/cancel");
    server.http.post(&path, server.api_key(), json!({ "reason": "enough" })).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_request_reaches_the_worker_at_once() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    worker.take().await;
    worker.status(&id, "running", Some(1)).await.expect(200);
    let plain = worker.session_call(&id, "lock-refresh", json!({ "attempt": 1, "issueId": "" })).await.expect(200);
    assert_eq!(plain, json!({ "refreshed": true }));
    let held = tokio::spawn({
        let (worker, id) = (worker.clone(), id.clone());
        async move { worker.session_call(&id, "lock-refresh?wait=25", json!({ "attempt": 1 })).await }
    });
    let session = cancel(&server, &id).await;
    assert_eq!((&session["status"], &session["stopRequested"]), (&json!("running"), &json!(true)));
    let expected = json!({ "refreshed": true, "stop": true, "stopReason": "enough" });
    assert_eq!(held.await.unwrap().expect(200), expected);
    assert_eq!(worker.session_call(&id, "lock-refresh?wait=25", json!({})).await.expect(200), expected);
    for _ in 0..2 {
        let beat = worker.beat(json!({ "appliedMutations": [format!("kill-{id}-1")] })).await.expect(200);
        let kill = &beat["pendingMutations"][0];
        assert_eq!((&kill["op"], &kill["params"]["sessionId"]), (&json!("session.kill"), &json!(id)), "{beat}");
        assert_eq!((&kill["id"], &kill["params"]["reason"]), (&json!(format!("kill-{id}-1")), &json!("enough")));
    }
    worker.status(&id, "stopped", Some(1)).await.expect(200);
    assert!(worker.beat(json!({})).await.expect(200).get("pendingMutations").is_none());
    worker.session_call(&id, "lock-refresh", json!({ "attempt": 1 })).await.expect_code(409, "illegal_transition");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_session_never_comes_back() {
    let server = Server::start().await;
    let worker = server.worker("m", 3).await;
    let (nacked, lost, resumed) =
        (server.create(json!({})).await, server.create(json!({})).await, server.create(json!({})).await);
    assert_eq!(worker.poll(0).await.len(), 3);
    worker.status(&lost, "running", Some(1)).await.expect(200);
    for id in [&nacked, &lost, &resumed] {
        cancel(&server, id).await;
    }
    assert_eq!(worker.nack(&nacked, 1).await.expect(200)["requeued"], false);
    let held = json!({ "sessions": [{ "sessionId": lost, "attempt": 1 }], "resumed": true });
    worker.beat(held).await.expect(200);
    server.clock.advance(LEASE);
    for id in [&nacked, &lost, &resumed] {
        server.until_status(id, "stopped").await;
    }
    assert!(worker.poll(0).await.is_empty());
}
