//! Every row of the route matrix that clients of the predecessor rely on, against a real daemon: method, path, status and
//! the exact fields with their types. The shapes are written down here and owe nothing to our own types.

use super::fixture::{CONFIG, Reply, Server};
use super::routes::documented;
use serde_json::{Value, json};

/// What is wrong with `value`, as `path: problem`. In a shape, `name?` may be missing, a list has elements of one shape,
/// `any` is anything, and a field that the shape does not name is wrong.
fn problems(shape: &Value, value: &Value, path: &str) -> Vec<String> {
    match (shape, value) {
        (Value::String(kind), value) => {
            let fits = match kind.as_str() {
                "string" => value.is_string(),
                "int" => value.is_u64() || value.is_i64(),
                "number" => value.is_number(),
                "bool" => value.is_boolean(),
                "time" => value.as_str().is_some_and(|text| {
                    text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
                }),
                "object" => value.is_object(),
                "any" => true,
                word => value == word.trim_start_matches('='),
            };
            if fits { Vec::new() } else { vec![format!("{path}: {value} is no {kind}")] }
        }
        (Value::Array(shapes), Value::Array(values)) => {
            let each = values.iter().enumerate();
            each.flat_map(|(index, value)| problems(&shapes[0], value, &format!("{path}[{index}]"))).collect()
        }
        (Value::Object(shapes), Value::Object(fields)) => {
            let mut found = Vec::new();
            for (name, shape) in shapes {
                let known = name.trim_end_matches('?');
                match fields.get(known) {
                    Some(value) => found.extend(problems(shape, value, &format!("{path}.{known}"))),
                    None if name.ends_with('?') => {}
                    None => found.push(format!("{path}.{known}: missing")),
                }
            }
            let named = |field: &str| shapes.keys().any(|name| name.trim_end_matches('?') == field);
            found.extend(fields.keys().filter(|field| !named(field)).map(|field| format!("{path}.{field}: not known")));
            found
        }
        _ => vec![format!("{path}: {value} has not the shape {shape}")],
    }
}

fn action() -> Value {
    json!({"ok": "bool", "message": "string"})
}

fn capacity() -> Value {
    json!({"maxConcurrentSessions": "int", "maxVCpuPerSession?": "int", "maxMemoryMbPerSession?": "int",
        "reservedVCpu?": "int", "reservedMemoryMb?": "int"})
}

fn registration() -> Value {
    json!({"state": "string", "url?": "string", "workerId?": "string", "lastError?": "string",
        "lastHeartbeatAt?": "string", "clockSkewSeconds?": "int", "suspended?": "string"})
}

fn handle() -> Value {
    json!({"sessionId": "string", "pid": "int", "acceptedAt": "time", "state": "string"})
}

fn refused() -> Value {
    json!({"error": "string", "hint?": "string", "code?": "string", "status?": "string", "sessionId?": "string"})
}

/// `GET` rows: path, status, shape.
fn reading() -> Vec<(&'static str, u16, Value)> {
    let by_machine = json!([{"id": "string", "region": "string", "status": "string", "version": "string",
        "activeSessions": "int", "capacity": capacity(), "uptimeSeconds": "int", "lastSeenAt": "time"}]);
    let registered = json!({"status?": "string", "lastHeartbeatAt?": "string", "heartbeatRunning?": "bool",
        "pollRunning?": "bool"});
    let mut stats = json!({"capacity": capacity(), "activeSessions": "int", "queueDepth": "int", "timestamp": "time",
        "workerId?": "string", "registration": registered, "allowedProjects?": ["string"]});
    let plain = stats.clone();
    stats["byMachine"] = by_machine;
    vec![
        (
            "/api/daemon/status",
            200,
            json!({"status": "string", "version": "string", "machineId": "string", "pid": "int", "uptimeSeconds": "int",
                "activeSessions": "int", "maxSessions": "int", "projectsAllowed": "int", "timestamp": "time",
                "registration?": registration(), "restartNeeded?": ["string"], "incident?": "string", "organizations?": ["object"]}),
        ),
        ("/api/daemon/stats", 200, plain.clone()),
        ("/api/daemon/stats?byMachine=1&pool=yes", 200, plain),
        ("/api/daemon/stats?byMachine=true", 200, stats),
        ("/api/daemon/sessions", 200, json!([handle()])),
        (
            "/api/daemon/heartbeat",
            200,
            json!({"workerId": "string", "hostname": "string", "status": "string", "activeSessions": "int",
                "maxSessions": "int", "region?": "string", "sentAt": "string", "allowlistHash?": "string",
                "allowlist?": [{"id": "string", "repository": "string"}]}),
        ),
        (
            "/api/daemon/doctor",
            200,
            json!({"state": "=running", "version": "string", "configLoaded": "bool", "machineId": "string",
                "workerId": "string", "projectCount": "int", "orchestratorUrl": "string", "heartbeat": "bool",
                "timestamp": "time", "registration?": registration(), "restartNeeded?": ["string"],
                "incident?": "string", "organizations?": ["object"]}),
        ),
        ("/api/daemon/capabilities", 200, json!({"provides": [{"kind": "string"}], "timestamp": "time"})),
        ("/api/daemon/capabilities/unknown", 404, refused()),
        ("/api/daemon/sessions/nobody", 404, json!({"error": "=session not found", "sessionId": "=nobody"})),
        ("/api/daemon/nothing", 404, refused()),
    ]
}

/// `POST` rows: path, body, status, shape.
fn changing() -> Vec<(&'static str, &'static str, u16, Value)> {
    let changed = json!({"ok": "bool", "key": "string", "value": "string", "message": "string"});
    let mut unchanged = changed.clone();
    unchanged["error"] = json!("string");
    unchanged["hint?"] = json!("string");
    vec![
        ("/api/daemon/pause", "", 200, action()),
        ("/api/daemon/pause", "not even JSON", 200, action()),
        ("/api/daemon/sessions", r#"{"sessionId":"late","repository":"app"}"#, 503, refused()),
        ("/api/daemon/resume", "", 200, action()),
        ("/api/daemon/update", "", 501, refused()),
        ("/api/daemon/capacity", r#"{"key":"capacity.maxConcurrentSessions","value":"4"}"#, 200, changed),
        ("/api/daemon/capacity", r#"{"key":"capacity.maxConcurrentSessions","value":4}"#, 400, unchanged.clone()),
        ("/api/daemon/capacity", r#"{"key":"capacity.maxConcurrentSessions","value":"-4"}"#, 400, unchanged.clone()),
        ("/api/daemon/capacity", r#"{"key":"x","value":"4"}"#, 400, unchanged.clone()),
        ("/api/daemon/capacity", "{", 400, unchanged),
        ("/api/daemon/sessions", "{", 400, refused()),
        ("/api/daemon/sessions", r#"{"sessionId":"","repository":"app"}"#, 400, refused()),
        ("/api/daemon/sessions", r#"{"sessionId":"a","repository":"unknown"}"#, 400, refused()),
        (
            "/api/daemon/sessions",
            r#"{"sessionId":"row","repository":"app","ref":"main","env":{"SCRIPT":"sleep 60"},"unknown":{}}"#,
            202,
            handle(),
        ),
        ("/api/daemon/sessions", r#"{"sessionId":"row","repository":"app"}"#, 409, refused()),
        ("/api/daemon/sessions/nobody/stop", "", 404, refused()),
        ("/api/daemon/drain", r#"{"timeoutSeconds":"soon"}"#, 400, refused()),
    ]
}

/// What is wrong with an answer.
fn faults(reply: &Reply, status: u16, shape: &Value) -> Vec<String> {
    if reply.status != status {
        return vec![format!("status {} instead of {status}: {}", reply.status, reply.body)];
    }
    problems(shape, &reply.json(), "")
}

async fn read_all(server: &Server, found: &mut Vec<String>) {
    for (path, status, shape) in reading() {
        let reply = server.get(path).await;
        found.extend(faults(&reply, status, &shape).into_iter().map(|fault| format!("GET {path}: {fault}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_matrix_has_its_status_and_its_fields() {
    let server = Server::start().await;
    let mut found = Vec::new();
    read_all(&server, &mut found).await;
    for (path, body, status, shape) in changing() {
        let reply = server.post(path, body).await;
        found.extend(faults(&reply, status, &shape).into_iter().map(|fault| format!("POST {path} {body}: {fault}")));
    }
    read_all(&server, &mut found).await;
    assert_eq!(server.get("/api/daemon/sessions").await.json().as_array().unwrap().len(), 1, "the filled state");
    let stopped = server.post("/api/daemon/stop", "").await;
    found.extend(faults(&stopped, 200, &action()));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_any_configuration_answers_the_same_shapes() {
    let server = Server::with("{}\n", |builder| builder).await;
    let mut found = Vec::new();
    read_all(&server, &mut found).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Paths of the predecessor, each with the methods that its clients use.
const MATRIX: &[(&str, &[&str])] = &[
    ("/healthz", &["GET"]),
    ("/api/daemon/status", &["GET"]),
    ("/api/daemon/stats", &["GET"]),
    ("/api/daemon/pause", &["POST"]),
    ("/api/daemon/resume", &["POST"]),
    ("/api/daemon/stop", &["POST"]),
    ("/api/daemon/drain", &["POST"]),
    ("/api/daemon/update", &["POST"]),
    ("/api/daemon/capacity", &["POST"]),
    ("/api/daemon/sessions", &["GET", "POST"]),
    ("/api/daemon/sessions/id", &["GET"]),
    ("/api/daemon/heartbeat", &["GET"]),
    ("/api/daemon/doctor", &["GET"]),
    ("/api/daemon/capabilities", &["GET"]),
    ("/api/daemon/providers", &["GET"]),
    ("/api/daemon/providers/id", &["GET"]),
    ("/api/daemon/routing/config", &["GET"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_every_row_of_the_matrix() {
    let server = Server::with(CONFIG, |builder| builder).await;
    let document = documented(&server.get("/api/daemon/openapi.json").await.json());
    for (path, methods) in MATRIX {
        let found = document.iter().find(|(documented, _)| documented == path);
        let found = found.unwrap_or_else(|| panic!("{path} is not documented"));
        assert!(methods.iter().all(|method| found.1.iter().any(|known| known == method)), "{path}: {:?}", found.1);
    }
}
