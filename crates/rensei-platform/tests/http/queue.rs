use crate::support::{ACCEPT, LEASE, Server};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn many_polls_claim_each_session_once() {
    let server = Server::start().await;
    let mut workers = Vec::new();
    for n in 0..24 {
        workers.push(server.worker(&format!("m{n}"), 3).await);
    }
    // Half of the polls wait already when the sessions come.
    let (early, late) = workers.split_at(12);
    let spawn = |worker: &crate::support::Worker, wait: u64| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.poll(wait).await })
    };
    let mut polls: Vec<_> = early.iter().map(|worker| spawn(worker, 3)).collect();
    let mut expected = HashSet::new();
    for n in 0..10 {
        expected.insert(server.create(json!({ "title": format!("t{n}") })).await);
    }
    polls.extend(late.iter().map(|worker| spawn(worker, 3)));
    let mut seen = Vec::new();
    for poll in polls {
        seen.extend(poll.await.unwrap().into_iter().map(|item| item["sessionId"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_slots_and_the_item() {
    let server = Server::start().await;
    let worker = server.worker("m", 3).await;
    let low = server.create(json!({ "priority": 5 })).await;
    server.clock.advance(Duration::from_secs(1));
    let full = json!({
        "prompt": "do it", "title": "T", "ref": "main", "branch": "b", "env": { "A": "1" }, "maxDurationSeconds": 9,
        "resolvedProfile": { "provider": "shell", "runner": "ts", "providerConfig": { "command": "true" } },
    });
    let first = server.create(full).await;
    server.clock.advance(Duration::from_secs(1));
    let second = server.create(json!({})).await;
    let urgent = server.create(json!({ "priority": 1 })).await;
    let work = worker.poll(0).await;
    let ids: Vec<_> = work.iter().map(|item| item["sessionId"].as_str().unwrap()).collect();
    assert_eq!(ids, [&urgent, &first, &second], "urgency, then age, up to the capacity");
    let item = &work[1];
    assert!(item["queuedAt"].is_i64() && item["attempt"] == 1 && item["priority"] == 3, "{item}");
    assert_eq!((&item["promptContext"], &item["env"]["A"]), (&json!("do it"), &json!("1")));
    assert_eq!(item["resolvedProfile"]["runner"], "go", "stamped by the control plane");
    assert_eq!(item["repository"], "https://example.com/acme/web.git");
    assert_eq!((&item["issueId"], item["issueIdentifier"].as_str().unwrap()), (&json!(first), &first[..8]));
    assert!(worker.poll(0).await.is_empty(), "full");
    assert_eq!(server.show(&low).await["pendingReason"], "all_full");
    worker.status(&first, "completed", Some(1)).await.expect(200);
    assert_eq!(worker.take().await, (low, 1));
    assert!(worker.beat(json!({ "maxSessions": 5 })).await.expect(200)["acknowledged"].as_bool().unwrap());
    let more = server.create(json!({})).await;
    assert_eq!(worker.take().await.0, more, "the capacity grew with the beat");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_poll_wakes_on_create_on_a_free_slot_and_on_more_capacity() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let poll = tokio::spawn({
        let worker = worker.clone();
        async move { worker.take().await }
    });
    let id = server.create(json!({})).await;
    assert_eq!(poll.await.unwrap(), (id.clone(), 1));
    let next = server.create(json!({})).await;
    let poll = tokio::spawn({
        let worker = worker.clone();
        async move { worker.take().await }
    });
    worker.status(&id, "failed", Some(1)).await.expect(200);
    assert_eq!(poll.await.unwrap(), (next, 1));
    let third = server.create(json!({})).await;
    let poll = tokio::spawn({
        let worker = worker.clone();
        async move { worker.take().await }
    });
    worker.beat(json!({ "maxSessions": 2 })).await.expect(200);
    assert_eq!(poll.await.unwrap().0, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_whose_client_hangs_up_leaves_the_session_to_others() {
    let server = Server::start().await;
    let (gone, there) = (server.worker("m1", 1).await, server.worker("m2", 1).await);
    for _ in 0..5 {
        let poll = tokio::spawn({
            let gone = gone.clone();
            async move { gone.poll(50).await }
        });
        server.until_held(1).await;
        poll.abort();
        server.until_held(0).await;
    }
    let id = server.create(json!({})).await;
    assert_eq!(there.take().await.0, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_workers_and_other_lanes_get_nothing() {
    let server = Server::start().await;
    let id = server.create(json!({})).await;
    assert_eq!(server.show(&id).await["pendingReason"], "no_worker");
    let token = server.tenant.registration_token.expose();
    let old = json!({ "hostname": "old", "machineId": "old", "runtime": "ts" });
    let old = server.http.post("/api/workers/register", token, old).await.expect(201);
    let old = crate::support::Worker::of(&server.http, &old);
    assert!(old.poll(0).await.is_empty());
    assert_eq!(server.show(&id).await["pendingReason"], "runner_mismatch");
    old.session_call(&id, "claim", json!({})).await.expect(200);
    let worker = server.worker("m", 1).await;
    assert_eq!(server.show(&id).await["pendingReason"], "awaiting_poll");
    worker.beat(json!({ "status": "draining" })).await.expect(200);
    assert!(worker.poll(0).await.is_empty());
    assert_eq!(server.show(&id).await["pendingReason"], "all_draining");
    let beat = worker.beat(json!({})).await.expect(200);
    assert_eq!((&beat["pendingWorkCount"], &beat["hostStatus"]["status"]), (&json!(1), &json!("ok")));
    assert!(worker.poll(0).await.is_empty(), "a beat that says nothing keeps the drain");
    worker.beat(json!({ "status": "idle" })).await.expect(200);
    assert_eq!(worker.take().await.0, id);
    server.clock.advance(Duration::from_secs(91));
    let shown = server.http.get("/api/workers", server.api_key()).await.expect(200);
    assert!(shown["workers"].as_array().unwrap().iter().all(|worker| worker["status"] == "offline"));
    assert_eq!(shown["summary"]["activeWorkers"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_by_id_is_idempotent_and_exclusive() {
    let server = Server::start().await;
    let (one, other) = (server.worker("m1", 1).await, server.worker("m2", 1).await);
    let id = server.create(json!({})).await;
    let claimed = one.session_call(&id, "claim", json!({})).await.expect(200);
    assert_eq!((&claimed["claimed"], &claimed["work"]["attempt"]), (&json!(true), &json!(1)));
    let again = one.session_call(&id, "claim", json!({})).await.expect(200);
    assert_eq!(again["work"], claimed["work"]);
    let refused = other.session_call(&id, "claim", json!({})).await.expect(200);
    assert_eq!((&refused["claimed"], &refused["reason"]), (&json!(false), &json!("claimed_by_other")));
    let second = server.create(json!({})).await;
    assert_eq!(one.session_call(&second, "claim", json!({})).await.expect(200)["reason"], "no_free_slot");
    one.status(&id, "completed", None).await.expect(200);
    assert_eq!(other.session_call(&id, "claim", json!({})).await.expect(200)["reason"], "session_ended");
    one.session_call("nope", "claim", json!({})).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unaccepted_claim_returns_in_its_old_place_and_the_old_owner_is_fenced_off() {
    let server = Server::start().await;
    let (slow, quick) = (server.worker("m1", 1).await, server.worker("m2", 1).await);
    let id = server.create(json!({})).await;
    assert_eq!(slow.take().await, (id.clone(), 1));
    server.clock.advance(Duration::from_secs(1));
    server.create(json!({})).await;
    // A beat renews the lease, not the time to accept.
    let held = json!({ "sessions": [{ "sessionId": id, "attempt": 1 }] });
    slow.beat(held).await.expect(200);
    server.clock.advance(ACCEPT);
    let session = server.until_status(&id, "pending").await;
    assert_eq!(session["pendingReason"], "requeued_not_accepted");
    assert_eq!(quick.take().await, (id.clone(), 2), "before the younger one");
    slow.status(&id, "running", Some(1)).await.expect_code(409, "lease_lost");
    slow.status(&id, "running", None).await.expect_code(409, "lease_lost");
    slow.session_call(&id, "lock-refresh", json!({ "attempt": 1 })).await.expect_code(409, "lease_lost");
    let activity = json!({ "attempt": 1, "activity": { "type": "thought", "content": "late" } });
    slow.session_call(&id, "activity", activity).await.expect_code(409, "lease_lost");
    slow.session_call(&id, "completion", json!({ "attempt": 1, "summary": "late" }))
        .await
        .expect_code(409, "lease_lost");
    slow.nack(&id, 1).await.expect_code(409, "lease_lost");
    quick.status(&id, "running", Some(1)).await.expect_code(409, "lease_lost");
    quick.status(&id, "running", Some(2)).await.expect(200);
    assert_eq!(server.show(&id).await["pendingReason"], "requeued_not_accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_end_without_renewal_and_three_losses_fail_the_session() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    for attempt in 1..=3 {
        assert_eq!(worker.take().await, (id.clone(), attempt));
        worker.status(&id, "running", Some(attempt)).await.expect(200);
        // Each of these renews; without them the lease would be over.
        let held = json!({ "sessions": [{ "sessionId": id, "attempt": attempt }] });
        for call in 0..4 {
            server.clock.advance(LEASE / 2);
            let body = json!({ "attempt": attempt, "activity": { "type": "thought", "content": "x" } });
            match call {
                0 => worker.beat(held.clone()).await.expect(200),
                1 => worker.session_call(&id, "lock-refresh", json!({ "attempt": attempt })).await.expect(200),
                2 => worker.session_call(&id, "activity", body).await.expect(200),
                _ => worker.status(&id, "running", Some(attempt)).await.expect(200),
            };
        }
        assert_eq!(server.show(&id).await["status"], "running");
        server.clock.advance(LEASE);
        let expected = if attempt < 3 { "pending" } else { "failed" };
        let session = server.until_status(&id, expected).await;
        if attempt == 3 {
            assert!(session["error"].as_str().unwrap().starts_with("lease_expired:"), "{session}");
        }
    }
    assert!(worker.poll(0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_session_returns_in_its_old_place_and_not_for_ever() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let other = server.worker("m2", 0).await;
    let id = server.create(json!({})).await;
    server.clock.advance(Duration::from_millis(10));
    let younger = server.create(json!({ "priority": 4 })).await;
    for attempt in 1..=5 {
        assert_eq!(worker.take().await, (id.clone(), attempt), "before {younger}");
        let answer = worker.nack(&id, attempt).await.expect(200);
        assert_eq!((&answer["nacked"], &answer["requeued"]), (&json!(true), &json!(attempt < 5)));
        worker.nack(&id, attempt).await.expect(409);
        if attempt == 1 {
            let waiting = server.show(&id).await;
            assert_eq!(
                (&waiting["status"], &waiting["pendingReason"]),
                (&json!("pending"), &json!("requeued_refused"))
            );
            // Another worker may have it at once.
            other.beat(json!({ "maxSessions": 1 })).await.expect(200);
            assert_eq!(other.poll(0).await[0]["sessionId"], json!(id));
            other.beat(json!({ "sessions": [], "resumed": true })).await.expect(200);
            other.beat(json!({ "status": "draining" })).await.expect(200);
            assert_eq!(worker.take().await.1, 3);
            assert_eq!(worker.nack(&id, 3).await.expect(200)["requeued"], true);
            break;
        }
    }
    for attempt in 4..=5 {
        // Not offered to the worker that refused it, until a second later.
        let (taken, of_younger) = worker.take().await;
        assert_eq!(taken, younger);
        worker.session_call(&younger, "nack", json!({ "work": {}, "attempt": of_younger })).await.expect(200);
        let poll = tokio::spawn({
            let worker = worker.clone();
            async move { worker.take().await }
        });
        server.clock.advance(Duration::from_secs(2));
        assert_eq!(poll.await.unwrap(), (id.clone(), attempt));
        let answer = worker.nack(&id, attempt).await.expect(200);
        assert_eq!(answer["requeued"], attempt < 5);
    }
    let failed = server.show(&id).await;
    assert_eq!(failed["status"], "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.starts_with("not_accepted:") && error.contains("not allowed here"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_host_gives_back_what_it_does_not_know() {
    let server = Server::start().await;
    let worker = server.worker("m", 4).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(server.create(json!({})).await);
        worker.take().await;
    }
    worker.status(&ids[0], "running", Some(1)).await.expect(200);
    worker.status(&ids[1], "running", Some(1)).await.expect(200);
    worker.beat(json!({ "sessions": [], "resumed": false })).await.expect(200);
    assert_eq!(server.show(&ids[0]).await["status"], "running");
    // The last one is listed under a number that is not the current one.
    let held = [(0, 1), (2, 1), (3, 9)].map(|(n, attempt)| json!({ "sessionId": ids[n], "attempt": attempt }));
    worker.beat(json!({ "sessions": held, "resumed": true })).await.expect(200);
    for (n, status) in [(0, "running"), (1, "pending"), (2, "claimed"), (3, "pending")] {
        assert_eq!(server.show(&ids[n]).await["status"], status, "{n}");
    }
    assert_eq!(server.show(&ids[1]).await["pendingReason"], "requeued_host_restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_worker_gives_back_what_it_has_not_started() {
    let server = Server::start().await;
    let worker = server.worker("m", 2).await;
    let (running, claimed) = (server.create(json!({})).await, server.create(json!({})).await);
    assert_eq!(worker.poll(0).await.len(), 2);
    worker.status(&running, "running", Some(1)).await.expect(200);
    let answer = server.http.delete(&format!("/api/workers/{}", worker.id), server.api_key()).await.expect(200);
    assert_eq!(answer, json!({ "deregistered": true, "unclaimedSessions": [claimed] }));
    assert_eq!(server.show(&claimed).await["status"], "pending");
    // Its process may still be alive: the session stays its own until the lease ends.
    worker.status(&running, "completed", Some(1)).await.expect(200);
}
