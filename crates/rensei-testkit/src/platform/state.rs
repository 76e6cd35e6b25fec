//! What a decent control plane would know and answer.

use super::http::Request;
use super::{REGISTRATION_TOKEN, TOKEN_MARK};
use crate::fault::{Answer, Call};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

#[derive(Debug)]
pub(super) struct State {
    pub(super) cadence: (u64, u64),
    /// Items that one poll takes at most.
    pub(super) batch: usize,
    /// Whether what is refused can be fetched again.
    pub(super) requeue: bool,
    pub(super) registration_token: String,
    pub(super) long_poll: bool,
    pub(super) pre_claimed: bool,
    pub(super) workers: HashSet<String>,
    /// Valid runtime tokens and whose they are.
    pub(super) tokens: HashMap<String, String>,
    pub(super) queue: VecDeque<Vec<u8>>,
    pub(super) refused_claims: HashSet<String>,
    pub(super) attempts: HashMap<String, u64>,
    pub(super) mutations: Vec<Value>,
    pub(super) host_status: Option<String>,
    pub(super) ends: BTreeMap<String, Vec<Value>>,
    /// Whether what a host has lost with its predecessor is dispatched again.
    pub(super) redispatch: bool,
    /// Items that were handed out and have not ended, by session.
    claimed: BTreeMap<String, Value>,
    /// Of all identities that are minted.
    pub(super) prefix: String,
    minted: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            cadence: (50, 20),
            batch: 5,
            requeue: false,
            registration_token: REGISTRATION_TOKEN.to_owned(),
            long_poll: true,
            pre_claimed: true,
            workers: HashSet::new(),
            tokens: HashMap::new(),
            queue: VecDeque::new(),
            refused_claims: HashSet::new(),
            attempts: HashMap::new(),
            mutations: Vec::new(),
            host_status: None,
            ends: BTreeMap::new(),
            redispatch: false,
            claimed: BTreeMap::new(),
            prefix: String::new(),
            minted: 0,
        }
    }
}

fn ok(body: &Value) -> Answer {
    Answer::json(200, body.to_string())
}

fn refused(status: u16, error: &str) -> Answer {
    Answer::json(status, json!({"error": error}).to_string())
}

impl State {
    /// The answer; `None` when there is nothing to say to a poll yet.
    pub(super) fn answer(&mut self, call: Call, id: &str, request: &Request) -> Option<Answer> {
        if let Some(refusal) = self.refusal(call, id, request) {
            return Some(refusal);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        Some(match call {
            Call::Register => {
                self.minted += 1;
                let worker = format!("wkr_{}{}", self.prefix, self.minted);
                self.workers.insert(worker.clone());
                ok(&self.credentials(&worker))
            }
            Call::RefreshToken => ok(&self.credentials(id)),
            Call::Heartbeat => self.heartbeat(&body),
            Call::Poll => return self.poll(),
            Call::Claim => ok(&json!({"claimed": !self.refused_claims.contains(id)})),
            Call::Status => self.status(id, body),
            Call::LockRefresh => ok(&json!({"refreshed": true})),
            Call::Nack if self.requeue => {
                self.queue.push_front(body["work"].to_string().into_bytes());
                ok(&json!({"ok": true}))
            }
            Call::Nack | Call::Activity | Call::Completion => ok(&json!({"ok": true})),
        })
    }

    /// Who may not ask.
    fn refusal(&self, call: Call, id: &str, request: &Request) -> Option<Answer> {
        let bearer = request.bearer.as_deref().unwrap_or_default();
        match call {
            Call::Register | Call::RefreshToken if bearer != self.registration_token => {
                Some(refused(401, "unknown registration token"))
            }
            Call::RefreshToken | Call::Heartbeat | Call::Poll if !self.workers.contains(id) => {
                Some(refused(404, "worker not found"))
            }
            Call::Register | Call::RefreshToken => None,
            Call::Heartbeat | Call::Poll if self.tokens.get(bearer).is_some_and(|worker| worker == id) => None,
            _ if self.tokens.contains_key(bearer) && !matches!(call, Call::Heartbeat | Call::Poll) => None,
            _ => Some(refused(401, "Runtime token expired; present the registration token again")),
        }
    }

    /// A new token in place of the worker's old ones.
    fn credentials(&mut self, worker: &str) -> Value {
        self.minted += 1;
        let token = format!("eyJ.{TOKEN_MARK}.{}{}", self.prefix, self.minted);
        self.tokens.retain(|_, owner| owner != worker);
        self.tokens.insert(token.clone(), worker.to_owned());
        let extensions: &[&str] = if self.long_poll { &["long-poll", "fencing"] } else { &[] };
        json!({"workerId": worker, "runtimeToken": token, "heartbeatInterval": self.cadence.0,
            "pollInterval": self.cadence.1, "extensions": extensions})
    }

    fn heartbeat(&mut self, body: &Value) -> Answer {
        if self.redispatch && body["resumed"] == true {
            self.dispatch_again(body);
        }
        let failed = body["mutationFailures"].as_array().into_iter().flatten().map(|failure| &failure["id"]);
        let done: Vec<_> = body["appliedMutations"].as_array().into_iter().flatten().chain(failed).collect();
        self.mutations.retain(|mutation| !done.contains(&&mutation["id"]));
        let mut answer = json!({"acknowledged": true, "pendingMutations": self.mutations});
        if let Some(status) = &self.host_status {
            answer["hostStatus"] = json!({"status": status});
        }
        ok(&answer)
    }

    /// A host that has just started says what it holds: what was handed out to its predecessor and is not among that goes
    /// back to the queue, under the next number.
    fn dispatch_again(&mut self, body: &Value) {
        let held: HashSet<_> =
            body["sessions"].as_array().into_iter().flatten().filter_map(|held| held["sessionId"].as_str()).collect();
        let (kept, lost) =
            std::mem::take(&mut self.claimed).into_iter().partition(|(id, _)| held.contains(id.as_str()));
        self.claimed = kept;
        for (id, mut item) in lost {
            let attempt = item["attempt"].as_u64().unwrap_or_default() + 1;
            item["attempt"] = attempt.into();
            self.attempts.insert(id, attempt);
            self.queue.push_back(item.to_string().into_bytes());
        }
    }

    fn poll(&mut self) -> Option<Answer> {
        if self.queue.is_empty() {
            return None;
        }
        let taken = self.queue.len().min(self.batch);
        let items: Vec<_> = self.queue.drain(..taken).collect();
        let readable = items.iter().filter_map(|item| serde_json::from_slice::<Value>(item).ok());
        for item in readable {
            if let Some(id) = item["sessionId"].as_str().map(str::to_owned) {
                self.claimed.insert(id, item);
            }
        }
        let mut body = format!("{{\"preClaimed\":{},\"work\":[", self.pre_claimed).into_bytes();
        body.extend_from_slice(&items.join(&b','));
        body.extend_from_slice(b"]}");
        Some(Answer::json(200, body))
    }

    fn status(&mut self, id: &str, body: Value) -> Answer {
        let stale = self.attempts.get(id).is_some_and(|current| body["attempt"] != *current);
        if stale {
            return Answer::json(409, r#"{"error":"another attempt owns the session","code":"lease_lost"}"#);
        }
        if matches!(body["status"].as_str(), Some("completed" | "failed" | "stopped")) {
            self.claimed.remove(id);
            self.ends.entry(id.to_owned()).or_default().push(body);
        }
        ok(&json!({"updated": true}))
    }
}
