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
async fn a_poll_that_is_woken_for_nothing_waits_on() {
    let server = Server::start().await;
    let (worker, full) = (server.worker("m", 1).await, server.worker("full", 0).await);
    let poll = |worker: &crate::support::Worker| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.take().await })
    };
    let (waiting, saturated) = (poll(&worker), poll(&full));
    server.until_held(2).await;
    for _ in 0..20 {
        // Each beat wakes its worker's poll, which finds nothing.
        worker.beat(json!({})).await.expect(200);
        full.beat(json!({})).await.expect(200);
        server.until_held(2).await;
    }
    // Had one of them been answered without work, taking from it would fail here.
    let id = server.create(json!({})).await;
    assert_eq!(waiting.await.unwrap().0, id);
    let next = server.create(json!({})).await;
    full.beat(json!({ "maxSessions": 1 })).await.expect(200);
    assert_eq!(saturated.await.unwrap().0, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_bounded_by_bytes_and_the_rest_comes_with_the_next() {
    const ANSWER: usize = 2 * 1024 * 1024;
    let server = Server::start().await;
    let worker = server.worker("m", 100).await;
    let mut ids = Vec::new();
    for kib in [900, 900, 1024, 1, 1, 1024, 900] {
        ids.push(server.create(json!({ "prompt": "x".repeat(kib * 1024) })).await);
        server.clock.advance(Duration::from_millis(1));
    }
    let mut taken = Vec::new();
    for expected in [2, 3, 2] {
        let answer = worker.http.get(&format!("/api/workers/{}/poll", worker.id), &worker.token).await.expect(200);
        assert!(answer.to_string().len() < ANSWER, "{}", answer.to_string().len());
        let work = answer["work"].as_array().unwrap();
        assert_eq!(work.len(), expected);
        taken.extend(work.iter().map(|item| item["sessionId"].as_str().unwrap().to_owned()));
    }
    assert_eq!(taken, ids, "none is passed over for a smaller one behind it");
    // Nothing gets in that would not fit alone: escapes count, too.
    let quotes = json!({ "prompt": "\"".repeat(1024 * 1024) });
    let refused = server.http.post("/api/sessions", server.api_key(), quotes).await.expect(400);
    assert!(refused["error"].as_str().unwrap().contains("less than 2 MiB"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_a_host_runs_of_its_own_take_slots() {
    let server = Server::start().await;
    let worker = server.worker("m", 8).await;
    worker.beat(json!({ "activeCount": 7, "sessions": [] })).await.expect(200);
    let first = server.create(json!({})).await;
    server.clock.advance(Duration::from_millis(1));
    let second = server.create(json!({})).await;
    assert_eq!(worker.take().await.0, first, "one slot is free");
    assert!(worker.poll(0).await.is_empty());
    assert_eq!(server.show(&second).await["pendingReason"], "all_full");
    let held = json!([{ "sessionId": first, "attempt": 1 }]);
    worker.beat(json!({ "activeCount": 8, "sessions": held })).await.expect(200);
    assert!(worker.poll(0).await.is_empty());
    worker.beat(json!({ "activeCount": 7, "sessions": held })).await.expect(200);
    assert_eq!(worker.take().await.0, second, "one of its own ended");
    // A host that lists nothing runs what it holds, and no more than it says.
    let third = server.create(json!({})).await;
    worker.beat(json!({ "activeCount": 2 })).await.expect(200);
    assert_eq!(worker.take().await.0, third);
    worker.beat(json!({ "activeCount": 8 })).await.expect(200);
    server.create(json!({})).await;
    assert!(worker.poll(0).await.is_empty());
    let shown = server.http.get(&format!("/api/workers/{}", worker.id), server.api_key()).await.expect(200);
    assert_eq!((&shown["activeCount"], &shown["foreignCount"]), (&json!(3), &json!(5)));
    server.worker("m", 8).await;
    assert_eq!(worker.poll(0).await.len(), 1, "a new registration starts with nothing");
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
    // A beat that does not list it, or under another number, is no acceptance.
    slow.beat(json!({ "activeCount": 1 })).await.expect(200);
    slow.beat(json!({ "sessions": [{ "sessionId": id, "attempt": 9 }] })).await.expect(200);
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
async fn a_host_that_comes_back_hears_which_of_its_sessions_it_has_lost() {
    let server = Server::start().await;
    let (slow, quick) = (server.worker("m1", 1).await, server.worker("m2", 1).await);
    let lost = server.create(json!({})).await;
    assert_eq!(slow.take().await, (lost.clone(), 1));
    slow.status(&lost, "running", Some(1)).await.expect(200);
    let held = |attempt: Option<u64>| json!({ "sessionId": lost, "attempt": attempt });
    let beat = async |sessions: Vec<serde_json::Value>| {
        let answer = slow.beat(json!({ "sessions": sessions })).await.expect(200);
        answer.get("lostSessions").cloned()
    };
    assert_eq!(beat(vec![held(Some(1)), json!({ "sessionId": "of nobody", "attempt": 1 })]).await, None);
    server.clock.advance(LEASE);
    server.until_status(&lost, "pending").await;
    assert_eq!(beat(vec![held(Some(1))]).await, Some(json!([held(Some(1))])), "queued again");
    assert_eq!(beat(vec![held(None)]).await, None, "nothing is known of its claim");
    assert_eq!(quick.take().await, (lost.clone(), 2));
    assert_eq!(beat(vec![held(Some(1)), held(Some(2))]).await, Some(json!([held(Some(1))])), "the new claim is none");
    quick.status(&lost, "completed", Some(2)).await.expect(200);
    assert_eq!(beat(vec![held(Some(1))]).await, Some(json!([held(Some(1))])), "over, and not by this host");
    assert_eq!(quick.beat(json!({ "sessions": [held(Some(2))] })).await.expect(200).get("lostSessions"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_hears_of_sessions_that_ended_under_the_claim_that_it_runs() {
    let server = Server::start().await;
    let worker = server.worker("m", 2).await;
    let lost = async |id: &str, attempt: u64| {
        let held = json!({ "sessionId": id, "attempt": attempt });
        let answer = worker.beat(json!({ "sessions": [held.clone()] })).await.expect(200);
        match answer.get("lostSessions") {
            None => false,
            Some(lost) => {
                assert_eq!(*lost, json!([held]));
                true
            }
        }
    };
    let run = async |id: &str, attempt: u64| {
        assert_eq!(worker.take().await, (id.to_owned(), attempt));
        worker.status(id, "running", Some(attempt)).await.expect(200);
        assert!(!lost(id, attempt).await, "it is its own");
    };
    // Cut off for the third time: there is no fourth claim that would have another number.
    let failed = server.create(json!({})).await;
    for attempt in 1..=3 {
        run(&failed, attempt).await;
        server.clock.advance(LEASE);
        server.until_status(&failed, if attempt < 3 { "pending" } else { "failed" }).await;
        assert!(lost(&failed, attempt).await, "{attempt}");
    }
    // Cancelled while it was cut off.
    let stopped = server.create(json!({})).await;
    run(&stopped, 1).await;
    let cancel = format!("/api/sessions/{stopped}/cancel");
    server.http.post(&cancel, server.api_key(), json!({})).await.expect(200);
    assert!(!lost(&stopped, 1).await, "it is told to stop, which is another matter");
    server.clock.advance(LEASE);
    server.until_status(&stopped, "stopped").await;
    assert!(lost(&stopped, 1).await);
    // Reported by its worker, which has a while to end.
    let done = server.create(json!({})).await;
    run(&done, 1).await;
    worker.status(&done, "completed", Some(1)).await.expect(200);
    assert!(!lost(&done, 1).await, "it is winding up");
    server.clock.advance(LEASE);
    assert!(lost(&done, 1).await, "it hangs");
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

#[tokio::test(flavor = "multi_thread")]
async fn another_repository_is_never_replaced_by_the_projects_own() {
    let server = Server::start().await;
    let worker = server.worker("machine-1", 2).await;
    server.create(json!({})).await;
    server.create(json!({ "repository": "https://example.com/acme/other.git" })).await;
    let mut items = worker.poll(0).await;
    items.sort_by_key(|item| item["repository"].to_string());
    let named: Vec<_> = items.iter().map(|item| (item["repository"].as_str(), item["projectName"].as_str())).collect();
    assert_eq!(
        named,
        [(Some("https://example.com/acme/other.git"), None), (Some("https://example.com/acme/web.git"), Some("web"))]
    );
}
