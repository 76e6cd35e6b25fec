use crate::support::{START_MS, Server, Worker, tenant};
use rensei_platform::LegacyAuth;
use serde_json::{Value, json};
use std::time::Duration;

fn error(body: &Value) -> &str {
    body["error"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_curl_body_registers() {
    let server = Server::start().await;
    let body = json!({ "version": "0.5.0", "capabilities": ["local"], "maxConcurrency": 4 });
    let token = server.tenant.registration_token.expose();
    let answer = server.http.post("/api/workers/register", token, body).await.expect(201);
    let id = answer["workerId"].as_str().unwrap();
    assert!(id.starts_with("wkr_") && id.len() == 20, "{id}");
    for field in ["runtimeToken", "runtimeJwt", "runtimeTokenExpiresAt", "expiresAt"] {
        assert!(answer[field].is_string(), "{field}");
    }
    assert_eq!(answer["runtimeToken"], answer["runtimeJwt"]);
    assert_eq!((&answer["heartbeatInterval"], &answer["pollInterval"]), (&json!(30_000), &json!(5_000)));
    assert_eq!(answer["extensions"], json!(["long-poll", "fencing"]));
    let shown =
        server.http.get(&format!("/api/workers/{id}"), answer["runtimeJwt"].as_str().unwrap()).await.expect(200);
    assert_eq!((shown["capacity"].as_i64(), shown["runtime"].as_str()), (Some(4), Some("ts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_in_every_spelling_and_again() {
    let server = Server::start().await;
    let token = server.tenant.registration_token.expose();
    for (body, capacity) in [
        (json!({ "hostname": "a", "capacity": 3 }), 3),
        (json!({ "maxAgents": 2, "capacity": null }), 2),
        (json!({}), 1),
        (json!({ "capacity": 0, "machineId": 7 }), 0),
    ] {
        let answer = server.http.post("/api/workers/register", token, body.clone()).await.expect(201);
        let worker = Worker::of(&server.http, &answer);
        let shown = server.http.get(&format!("/api/workers/{}", worker.id), &worker.token).await.expect(200);
        assert_eq!(shown["capacity"], capacity, "{body}");
    }
    for (body, field) in [
        (json!({ "capacity": -1 }), "capacity"),
        (json!({ "capacity": "four" }), "invalid body"),
        (json!({ "hostname": "a\nb" }), "hostname"),
        (json!([]), "invalid body"),
    ] {
        let refused = server.http.post("/api/workers/register", token, body).await.expect(400);
        assert!(error(&refused).starts_with(field), "{refused}");
    }
    let first = server.worker("machine-1", 1).await;
    let again = server.worker("machine-1", 2).await;
    assert_eq!(first.id, again.id, "one machine is one worker");
    assert_ne!(server.worker("machine-2", 1).await.id, first.id);
    // The organisation-wide API key registers too, in its own, wider scope.
    let body = json!({ "machineId": "machine-1", "runtime": "go" });
    let wide = server.http.post("/api/workers/register", server.api_key(), body).await.expect(201);
    assert_ne!(wide["workerId"], json!(first.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_takes_its_own_kind_of_token() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let registration = server.tenant.registration_token.expose().to_owned();
    let key = server.tenant.worker_api_key.expose().to_owned();
    let api = server.api_key().to_owned();
    let id = server.create(json!({})).await;
    worker.take().await;
    let own = format!("/api/workers/{}", worker.id);
    let session = format!("/api/sessions/{id}");
    let report = json!({ "workerId": worker.id, "status": "running" });
    let activity = json!({ "workerId": worker.id, "activity": { "type": "thought", "content": "x" } });
    // Method, path, body, and whether registration token, runtime token, API key, worker key are taken.
    let table = [
        ("GET", own.clone() + "/poll", Value::Null, [false, true, false, false]),
        ("POST", own.clone() + "/heartbeat", json!({ "activeCount": 0 }), [false, true, false, false]),
        ("POST", own.clone() + "/refresh-token", Value::Null, [true, true, true, false]),
        ("POST", own.clone() + "/lock-refresh", Value::Null, [true, true, true, false]),
        ("GET", own.clone(), Value::Null, [false, true, true, false]),
        ("GET", "/api/workers".to_owned(), Value::Null, [false, true, true, false]),
        ("POST", session.clone() + "/claim", json!({ "workerId": worker.id }), [false, true, false, false]),
        ("POST", session.clone() + "/lock-refresh", json!({}), [false, true, false, false]),
        ("GET", session.clone() + "/status", Value::Null, [false, true, true, false]),
        ("POST", session.clone() + "/status", report, [false, true, false, true]),
        ("POST", session.clone() + "/activity", activity, [false, true, false, true]),
        ("POST", session.clone() + "/progress", json!({ "message": "m" }), [false, true, false, true]),
        ("POST", session.clone() + "/completion", json!({ "summary": "s" }), [false, true, false, true]),
        ("GET", "/api/sessions".to_owned(), Value::Null, [false, false, true, false]),
        ("GET", session.clone(), Value::Null, [false, false, true, false]),
        ("GET", session.clone() + "/activities", Value::Null, [false, false, true, false]),
        ("POST", session.clone() + "/cancel", Value::Null, [false, false, true, false]),
    ];
    for (method, path, body, taken) in table {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        for (token, taken) in [&registration, &worker.token, &api, &key].into_iter().zip(taken) {
            let request = server.http.request(method, &path, token, body.clone());
            let answer = server.http.raw(request).await;
            let expected = if taken { 200 } else { 401 };
            assert_eq!(answer.status, expected, "{method} {path} {}: {}", &token[..4], answer.body);
        }
        for bad in ["", "rsp_live_unknown", "a.b.c", "stub.x.y", "wak_"] {
            let answer = server.http.raw(server.http.request(method, &path, bad, body.clone())).await;
            assert_eq!(answer.status, 401, "{method} {path} {bad}");
            assert!(answer.headers.contains_key("www-authenticate") && answer.body["error"].is_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_take_the_worker_key_alone_when_told_so() {
    let server = Server::start_with(LegacyAuth::KeyOnly).await;
    let worker = server.worker("m", 1).await;
    let id = server.create(json!({})).await;
    let (_, attempt) = worker.take().await;
    let refused = worker.status(&id, "running", Some(attempt)).await.expect(401);
    assert!(error(&refused).contains("WORKER_API_KEY"), "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains("--legacy-session-auth both"), "{refused}");
    worker.session_call(&id, "activity", json!({ "activity": { "type": "thought", "content": "" } })).await.expect(401);
    let key = server.tenant.worker_api_key.expose();
    let body = json!({ "workerId": worker.id, "status": "running" });
    server.http.post(&format!("/api/sessions/{id}/status"), key, body).await.expect(200);
    let unnamed = json!({ "workerId": "", "status": "running" });
    let refused = server.http.post(&format!("/api/sessions/{id}/status"), key, unnamed).await.expect(400);
    assert!(error(&refused).contains("workerId"));
    let stranger = json!({ "workerId": "wkr_0", "status": "running" });
    server.http.post(&format!("/api/sessions/{id}/status"), key, stranger).await.expect_code(409, "lease_lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_own_worker_only() {
    let server = Server::start().await;
    let (one, other) = (server.worker("m1", 1).await, server.worker("m2", 1).await);
    for (method, call) in
        [("GET", ""), ("GET", "/poll"), ("POST", "/heartbeat"), ("POST", "/refresh-token"), ("DELETE", "")]
    {
        let body = if method == "POST" { br#"{"activeCount":0}"#.to_vec() } else { Vec::new() };
        let request = server.http.request(method, &format!("/api/workers/{}{call}", other.id), &one.token, body);
        server.http.raw(request).await.expect(403);
    }
    let id = server.create(json!({})).await;
    let body = json!({ "workerId": other.id });
    server.http.post(&format!("/api/sessions/{id}/claim"), &one.token, body).await.expect(403);
    server.http.delete(&format!("/api/workers/{}", one.id), &one.token).await.expect(200);
    let gone = server.http.get(&format!("/api/workers/{}/poll?wait=20", one.id), &one.token).await.expect(404);
    assert!(error(&gone).contains(&one.id));
    one.beat(json!({})).await.expect(404);
    let token = server.tenant.registration_token.expose();
    server.http.post(&format!("/api/workers/{}/refresh-token", one.id), token, json!({})).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_expire_and_clock_skew_is_named() {
    let server = Server::start().await;
    let worker = server.worker("m", 1).await;
    let poll = format!("/api/workers/{}/poll", worker.id);
    server.clock.set_wall(START_MS - 3_600_000);
    let skewed = server.http.get(&poll, &worker.token).await;
    assert!(error(&skewed.body).contains("clock skew"), "{}", skewed.body);
    skewed.expect_code(401, "clock_skew");
    server.clock.set_wall(START_MS);
    server.clock.advance(Duration::from_secs(3_610));
    let expired = server.http.get(&poll, &worker.token).await.expect(401);
    assert!(error(&expired).starts_with("Runtime token expired"), "{expired}");
    // Refresh with the registration token keeps the worker; with a runtime token it must still be valid.
    let refresh = format!("/api/workers/{}/refresh-token", worker.id);
    server.http.post(&refresh, &worker.token, json!({})).await.expect(401);
    let answer = server.http.post(&refresh, server.tenant.registration_token.expose(), json!({})).await.expect(200);
    assert_eq!(answer["workerId"], json!(worker.id));
    let fresh = Worker::of(&server.http, &answer);
    assert!(fresh.poll(0).await.is_empty());
    server.http.post(&format!("/api/workers/{}/lock-refresh", worker.id), &fresh.token, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_see_each_other() {
    let server = Server::start().await;
    let other = tenant(server.dir.path(), "umbrella", "web").await;
    assert_ne!(other.project_id, server.tenant.project_id);
    let worker = server.worker("m", 4).await;
    let id = server.create(json!({ "project": "web" })).await;
    let body = json!({ "machineId": "m", "runtime": "go", "capacity": 4 });
    let answer = server.http.post("/api/workers/register", other.registration_token.expose(), body).await.expect(201);
    let stranger = Worker::of(&server.http, &answer);
    assert_ne!(stranger.id, worker.id, "the same machine in another organisation is another worker");
    assert!(stranger.poll(0).await.is_empty());
    let (taken, attempt) = worker.take().await;
    assert_eq!(taken, id);
    let key = other.api_key.expose();
    for path in
        [format!("/api/sessions/{id}"), format!("/api/sessions/{id}/activities"), format!("/api/workers/{}", worker.id)]
    {
        server.http.get(&path, key).await.expect(404);
    }
    server.http.post(&format!("/api/sessions/{id}/cancel"), key, json!({})).await.expect(404);
    server.http.delete(&format!("/api/workers/{}", worker.id), key).await.expect(404);
    server.http.post("/api/sessions", key, json!({ "project": server.tenant.project_id })).await.expect(404);
    stranger.status(&id, "running", Some(attempt)).await.expect(404);
    stranger.session_call(&id, "claim", json!({})).await.expect(404);
    stranger.session_call(&id, "lock-refresh", json!({})).await.expect(404);
    stranger.nack(&id, attempt).await.expect(404);
    let listed = server.http.get("/api/workers", &stranger.token).await.expect(200);
    assert_eq!(listed["workers"].as_array().unwrap().len(), 1);
    let refresh = format!("/api/workers/{}/refresh-token", worker.id);
    server.http.post(&refresh, other.registration_token.expose(), json!({})).await.expect(404);
    assert_eq!(server.http.get("/api/sessions", key).await.expect(200)["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_json_with_the_right_headers() {
    let server = Server::start().await;
    let missing = server.http.get("/api/nothing", "").await.expect(404);
    assert!(error(&missing).contains("/api/nothing"));
    let wrong = server.http.delete("/api/sessions", "").await;
    let allow = wrong.headers["allow"].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    wrong.expect(405);
    let large = server.http.request("POST", "/api/sessions", server.api_key(), vec![b' '; 4 * 1024 * 1024 + 1]);
    assert!(error(&server.http.raw(large).await.expect(413)).contains("4 MiB"));
    server.http.get("/api/sessions?limit=x", server.api_key()).await.expect(400);
    assert_eq!(server.http.get("/api/health", "").await.expect(200)["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_heartbeat_is_one() {
    let server = Server::start().await;
    let worker = server.worker("machine-1", 1).await;
    let path = format!("/api/workers/{}/heartbeat", worker.id);
    let beat = server.http.raw(server.http.request("POST", &path, &worker.token, Vec::new())).await.expect(200);
    assert_eq!(beat["acknowledged"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_not_told_what_is_wrong_with_a_body() {
    let server = Server::start().await;
    let worker = server.worker("machine-1", 1).await;
    let id = server.create(json!({})).await;
    for call in ["nack", "status", "activity", "completion", "progress"] {
        let path = format!("/api/sessions/{id}/{call}");
        let sent = |token: &str| server.http.raw(server.http.request("POST", &path, token, b"{".to_vec()));
        sent("rsp_live_unknown").await.expect(401);
        sent(&worker.token).await.expect(400);
    }
}
