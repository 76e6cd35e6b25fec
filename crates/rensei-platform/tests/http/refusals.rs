use crate::support::{Server, Worker};
use serde_json::json;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);

/// Checks that the worker is offered the session after so many seconds and not before, and answers the attempt.
async fn offered_after(server: &Server, worker: &Worker, id: &str, seconds: u64) -> u64 {
    assert!(worker.poll(0).await.is_empty(), "at once");
    server.clock.advance(Duration::from_secs(seconds) - MOMENT);
    assert!(worker.poll(0).await.is_empty(), "before {seconds} s");
    server.clock.advance(MOMENT);
    let work = worker.poll(0).await;
    assert_eq!((work.len(), &work[0]["sessionId"]), (1, &json!(id)), "after {seconds} s");
    work[0]["attempt"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_session_itself_come_later_each_time_and_end_at_the_fifth() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    let mut attempt = worker.take().await.1;
    for seconds in [1, 2, 4, 8] {
        let answer = worker.nack(&id, attempt).await.expect(200);
        assert_eq!((&answer["nacked"], &answer["requeued"]), (&json!(true), &json!(true)));
        worker.nack(&id, attempt).await.expect_code(409, "lease_lost");
        let waiting = server.show(&id).await;
        for (field, value) in
            [("status", "pending"), ("pendingReason", "requeued_refused"), ("pendingDetail", "not allowed here")]
        {
            assert_eq!(waiting[field], value);
        }
        attempt = offered_after(&server, &worker, &id, seconds).await;
        assert!(server.show(&id).await.get("pendingDetail").is_none(), "it does not wait any more");
    }
    assert_eq!(worker.nack(&id, attempt).await.expect(200)["requeued"], false);
    let failed = server.show(&id).await;
    assert_eq!(failed["status"], "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.starts_with("not_accepted:") && error.contains("not allowed here"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_take_it_never_ends_a_session() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    let mut attempt = worker.take().await.1;
    // Four that count, to show that the others do not.
    for seconds in [1, 2, 4, 8] {
        worker.nack(&id, attempt).await.expect(200);
        attempt = offered_after(&server, &worker, &id, seconds).await;
    }
    for seconds in [16, 32, 60, 60, 60] {
        assert_eq!(worker.cannot_take(&id, attempt).await.expect(200)["requeued"], true);
        worker.beat(json!({})).await.expect(200);
        let waiting = server.show(&id).await;
        assert_eq!(
            (&waiting["pendingReason"], &waiting["pendingDetail"]),
            (&json!("requeued_host_fault"), &json!("disk full"))
        );
        attempt = offered_after(&server, &worker, &id, seconds).await;
    }
    worker.status(&id, "completed", Some(attempt)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_something_starts_over() {
    let server = Server::start().await;
    let (worker, other) = (server.worker("m", 1).await, server.worker("m2", 1).await);
    let id = server.create(json!({})).await;
    let mut attempt = worker.take().await.1;
    // Seconds until the next offer, and who accepts something else meanwhile.
    for (seconds, accepting) in [(1, &other), (2, &other), (4, &worker), (1, &other), (2, &worker), (1, &other)] {
        worker.cannot_take(&id, attempt).await.expect(200);
        let easy = server.create(json!({ "priority": 5 })).await;
        let claimed = accepting.session_call(&easy, "claim", json!({})).await.expect(200);
        let first = claimed["work"]["attempt"].as_u64();
        accepting.session_call(&easy, "lock-refresh", json!({ "attempt": first })).await.expect(200);
        accepting.status(&easy, "completed", first).await.expect(200);
        attempt = offered_after(&server, &worker, &id, seconds).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_get_a_refused_session_at_once_and_in_its_old_place() {
    let server = Server::start().await;
    let (broken, healthy) = (server.worker("m1", 2).await, server.worker("m2", 1).await);
    let id = server.create(json!({})).await;
    assert_eq!(broken.take().await, (id.clone(), 1));
    let poll = |worker: &Worker| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.take().await })
    };
    // The poll of the refusing host has waited longer.
    let first = poll(&broken);
    server.until_held(1).await;
    let second = poll(&healthy);
    server.until_held(2).await;
    broken.cannot_take(&id, 1).await.expect(200);
    assert_eq!(second.await.unwrap(), (id.clone(), 2));
    let other = server.create(json!({})).await;
    assert_eq!(first.await.unwrap(), (other, 1), "and it is still there for other work");

    healthy.cannot_take(&id, 2).await.expect(200);
    server.clock.advance(MOMENT);
    let younger = server.create(json!({})).await;
    let third = server.worker("m3", 2).await;
    let ids: Vec<_> = third.poll(0).await.iter().map(|item| item["sessionId"].clone()).collect();
    assert_eq!(ids, [json!(id), json!(younger)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_poll_hears_when_its_refusal_is_over() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    assert_eq!(worker.take().await, (id.clone(), 1));
    worker.cannot_take(&id, 1).await.expect(200);
    let poll = tokio::spawn({
        let worker = worker.clone();
        async move { worker.take().await }
    });
    server.until_held(1).await;
    for _ in 0..100 {
        server.clock.advance(Duration::from_secs(1));
        if server.show(&id).await["status"] == "claimed" {
            break;
        }
    }
    assert_eq!(poll.await.unwrap(), (id, 2));
}
