//! A daemon and a control plane that do as they are told and remember what they were told.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rensei_proto::SessionDetail;
use rensei_proto::control::Workarea;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// What the scripted parties do and have seen.
pub(crate) struct Script {
    pub(crate) detail: SessionDetail,
    /// `Err`: status and message of the refusal.
    pub(crate) workarea: Result<Workarea, (u16, Value)>,
    /// Token that the control plane accepts.
    pub(crate) accepted_token: String,
    /// Answers to be given before the regular one, by route: `lock-refresh`, `activity`, `status`, `completion`, `detail`.
    pub(crate) faults: HashMap<&'static str, VecDeque<(u16, Value)>>,
    /// Time that an activity takes.
    pub(crate) pace: Duration,
    /// Routes that answer 500 until further notice.
    pub(crate) broken: Vec<&'static str>,
    /// What a lock refresh is answered with at once; `None` holds it.
    pub(crate) lease: Option<(u16, Value)>,
    /// Requests by route, in order of arrival, with their accepted bodies.
    pub(crate) seen: Vec<(&'static str, Value)>,
    /// Number of requests by route, refused ones too.
    pub(crate) asked: BTreeMap<&'static str, usize>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Plane {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    changed: watch::Sender<u64>,
}

impl Plane {
    pub(crate) async fn start(detail: SessionDetail, workarea: Result<Workarea, (u16, Value)>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let token = detail.auth_token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default();
        let script = Script {
            detail,
            workarea,
            accepted_token: token,
            faults: HashMap::new(),
            pace: Duration::ZERO,
            broken: Vec::new(),
            lease: None,
            seen: Vec::new(),
            asked: BTreeMap::new(),
        };
        let plane = Self { url, script: Arc::new(Mutex::new(script)), changed: watch::Sender::new(0) };
        let router = Router::new()
            .route("/api/daemon/sessions/{id}", get(detail_of))
            .route("/api/daemon/sessions/{id}/workarea", post(workarea_of))
            .route("/api/sessions/{id}/{call}", post(call))
            .with_state(plane.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        plane
    }

    /// Changes the script, and wakes whoever waits for a change.
    pub(crate) fn edit<T>(&self, edit: impl FnOnce(&mut Script) -> T) -> T {
        let value = edit(&mut self.script.lock().unwrap());
        self.changed.send_modify(|version| *version += 1);
        value
    }

    /// Waits until the script, or what was seen, satisfies `condition`.
    pub(crate) async fn until(&self, condition: impl Fn(&Script) -> bool) {
        let mut changes = self.changed.subscribe();
        while !condition(&self.script.lock().unwrap()) {
            changes.changed().await.unwrap();
        }
    }

    /// Waits for an activity with that text in it.
    pub(crate) async fn until_activity(&self, text: &str) {
        self.until(|script| script.activities().any(|activity| content(activity).contains(text))).await;
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Script) -> T) -> T {
        read(&self.script.lock().unwrap())
    }

    /// Statuses in order of arrival.
    pub(crate) fn statuses(&self) -> Vec<String> {
        self.read(|script| script.bodies("status").map(|body| body["status"].as_str().unwrap().to_owned()).collect())
    }
}

impl Script {
    pub(crate) fn bodies(&self, route: &str) -> impl Iterator<Item = &Value> {
        self.seen.iter().filter(move |(seen, _)| *seen == route).map(|(_, body)| body)
    }

    pub(crate) fn activities(&self) -> impl Iterator<Item = &Value> {
        self.bodies("activity").map(|body| &body["activity"])
    }

    pub(crate) fn fail(&mut self, route: &'static str, times: usize, status: u16, body: &Value) {
        self.faults.entry(route).or_default().extend(std::iter::repeat_n((status, body.clone()), times));
    }

    fn fault(&mut self, route: &'static str) -> Option<(u16, Value)> {
        *self.asked.entry(route).or_default() += 1;
        let scripted = self.faults.get_mut(route).and_then(VecDeque::pop_front);
        scripted.or_else(|| self.broken.contains(&route).then(|| (500, json!({ "error": "database is locked" }))))
    }
}

pub(crate) fn content(activity: &Value) -> &str {
    activity["content"].as_str().unwrap()
}

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn detail_of(State(plane): State<Plane>, Path(id): Path<String>) -> Response {
    plane.edit(|script| match script.fault("detail") {
        Some((status, body)) => answer(status, body),
        None if id == script.detail.session_id.as_str() => Json(script.detail.clone()).into_response(),
        None => answer(404, json!({ "error": "session not found", "sessionId": id })),
    })
}

async fn workarea_of(State(plane): State<Plane>, Path(_id): Path<String>) -> Response {
    plane.edit(|script| match script.workarea.clone() {
        Ok(workarea) => Json(workarea).into_response(),
        Err((status, body)) => answer(status, body),
    })
}

async fn call(
    State(plane): State<Plane>,
    Path((_id, call)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let route = ["lock-refresh", "activity", "status", "completion"].into_iter().find(|route| *route == call).unwrap();
    let pace = plane.read(|script| script.pace);
    if route == "activity" && !pace.is_zero() {
        tokio::time::sleep(pace).await;
    }
    let refused = plane.edit(|script| {
        if let Some(fault) = script.fault(route) {
            return Some(fault);
        }
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if bearer != format!("Bearer {}", script.accepted_token) {
            return Some((401, json!({ "error": "Runtime token expired" })));
        }
        script.seen.push((route, body));
        None
    });
    match refused {
        Some((status, body)) => answer(status, body),
        None if route == "lock-refresh" => lease(&plane, query.contains_key("wait")).await,
        None => answer(200, json!({ "updated": true, "posted": true, "forwarded": true })),
    }
}

/// Holds the question until the script has an answer. The test ends long before anybody else would.
async fn lease(plane: &Plane, wait: bool) -> Response {
    if wait {
        plane.until(|script| script.lease.is_some()).await;
    }
    let (status, body) = plane.read(|script| script.lease.clone()).unwrap_or((200, json!({ "refreshed": true })));
    answer(status, body)
}
