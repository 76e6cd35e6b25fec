//! Sessions see nothing of each other.

use super::fixture::{PATIENCE, Server};
use rensei_testkit::{Answer, Call, FakePlatform, REGISTRATION_TOKEN};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A host with two sessions of a control plane, each with credentials of its own.
struct Pair {
    server: Server,
    _platform: FakePlatform,
    out: tempfile::TempDir,
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            match look() {
                Some(seen) => return seen,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap()
}

impl Pair {
    /// `own` and `other` run these scripts; before that each writes its environment to `<id>.env`.
    async fn start(own: &str, other: &str) -> Self {
        Self::with("", own, other).await
    }

    async fn with(more: &str, own: &str, other: &str) -> Self {
        let (platform, out) = (FakePlatform::start().await, tempfile::tempdir().unwrap());
        let config = format!(
            "projects:\n- {{id: app, repository: \"http://127.0.0.1:9/app.git\"}}\n- {{id: lib, repository: /srv/lib}}\n\
            orchestrator: {{url: \"{}\", authToken: {REGISTRATION_TOKEN}}}\n{more}",
            platform.url()
        );
        let item = |id: &str, project: &str, script: &str| {
            let script = format!("cd '{}' && env > .{id} && mv .{id} {id}.env; {script}", out.path().display());
            json!({"sessionId": id, "repository": project, "attempt": 1, "env": {"SCRIPT": script}})
        };
        let answer = json!({
            "work": [item("own", "app", own), item("other", "lib", other)],
            "preClaimed": true,
            "gitCredentials": [{"token": "lent-token", "cloneUrl": "http://127.0.0.1:9/app", "expiresAt": "2999-01-01T00:00:00Z"}]
        });
        platform.fault(Call::Poll, Answer::json(200, answer.to_string()));
        let server = Server::with(&config, |builder| builder).await;
        let pair = Self { server, _platform: platform, out };
        until(|| (pair.file("own.env").is_some() && pair.file("other.env").is_some()).then_some(())).await;
        pair
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.out.path().join(name)).ok()
    }

    fn token(&self, id: &str) -> String {
        let env = self.file(&format!("{id}.env")).unwrap();
        let token = |prefix: &str| env.lines().find_map(|line| line.strip_prefix(prefix)).unwrap().to_owned();
        assert_eq!(token("RENSEI_SESSION_TOKEN="), token("DONMAI_SESSION_TOKEN="));
        token("RENSEI_SESSION_TOKEN=")
    }

    async fn call(&self, request: &str, token: &str) -> (u16, Value) {
        let bearer = format!("authorization: Bearer {token}");
        let headers = if token.is_empty() { vec![] } else { vec![bearer.as_str()] };
        let reply = self.server.call(request, &headers, "").await;
        (reply.status, reply.json())
    }

    /// What a script left in a file.
    async fn answer(&self, name: &str) -> (u16, Value) {
        let text = until(|| self.file(name).filter(|text| text.ends_with("}\n"))).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }
}

/// A script that asks for `path` from the shell that runs it, without a token, once the file `go` is there.
fn ask(path: &str, answer: &str) -> String {
    format!(
        "exec bash -c 'until [ -s go ]; do sleep 0.01; done; exec 3<>/dev/tcp/127.0.0.1/$(cat go); \
        printf \"GET /api/daemon/sessions/{path} HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\nconnection: close\\r\\n\\r\\n\" >&3; \
        cat <&3 > {answer}; sleep 60'"
    )
}

fn go(pair: &Pair) {
    std::fs::write(pair.out.path().join("go"), pair.server.address.port().to_string()).unwrap();
}

fn has_credentials(detail: &Value) -> (bool, bool) {
    (detail["authToken"].is_string(), detail["git"]["token"] == "lent-token")
}

fn files_with(root: &Path, text: &str) -> String {
    let found = std::process::Command::new("grep").args(["-rl", text]).arg(root).output().unwrap();
    String::from_utf8_lossy(&found.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_its_own_detail_and_no_others() {
    let pair = Pair::start("sleep 60", "sleep 60").await;
    let (own, other) = (pair.token("own"), pair.token("other"));
    let detail = "GET /api/daemon/sessions/own";
    let (status, seen) = pair.call(detail, &own).await;
    assert_eq!((status, has_credentials(&seen)), (200, (true, true)), "{seen}");
    for request in [detail, "POST /api/daemon/sessions/own/stop", "POST /api/daemon/sessions/own/workarea"] {
        let (status, refusal) = pair.call(request, &other).await;
        assert_eq!((status, &refusal["error"]), (403, &"sessions see nothing of each other".into()), "{request}");
    }
    // A person, and a client that shows its token to every daemon.
    for token in ["", "somebody-elses"] {
        let (status, seen) = pair.call(detail, token).await;
        assert_eq!((status, &seen["sessionId"], has_credentials(&seen)), (200, &"own".into(), (false, false)));
        let (status, refusal) = pair.call("POST /api/daemon/sessions/own/workarea", token).await;
        assert_eq!(status, 403, "{refusal}");
        assert!(refusal["hint"].as_str().unwrap().contains("RENSEI_SESSION_TOKEN"), "{refusal}");
    }
    // What the control plane lent for one session is not the other's, and is not on disk.
    let (status, seen) = pair.call("GET /api/daemon/sessions/other", &other).await;
    assert_eq!((status, has_credentials(&seen)), (200, (true, false)));
    for secret in [own.as_str(), &other, "lent-token"] {
        assert_eq!(files_with(pair.server.root(), secret), "", "kept on disk");
    }
    assert_eq!(pair.call("POST /api/daemon/sessions/own/stop", "").await.0, 200, "people may stop what runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_open_to_everybody_still_keeps_sessions_apart() {
    let pair = Pair::with("control: {auth: open}\n", "sleep 60", "sleep 60").await;
    let detail = "GET /api/daemon/sessions/own";
    let (status, seen) = pair.call(detail, "").await;
    assert_eq!((status, has_credentials(&seen)), (200, (true, true)), "{seen}");
    assert_eq!(pair.call(detail, &pair.token("other")).await.0, 403);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_token_is_known_by_its_process() {
    let child = ask("own", "child").replacen("exec bash", "bash", 1);
    let pair = Pair::start(&format!("({child}) & {}", ask("own", "worker")), &ask("own", "stranger")).await;
    go(&pair);
    let (status, seen) = pair.answer("worker").await;
    assert_eq!((status, has_credentials(&seen)), (200, (true, true)), "{seen}");
    let (status, seen) = pair.answer("child").await;
    assert_eq!(
        (status, has_credentials(&seen)),
        (200, (false, false)),
        "what a worker starts is not the worker: {seen}"
    );
    let (status, refusal) = pair.answer("stranger").await;
    assert_eq!((status, &refusal["error"]), (403, &"sessions see nothing of each other".into()));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hides_where_it_comes_from_gets_no_credentials() {
    // No environment, no group, no parent.
    let hidden = ask("own", "hidden").replacen("exec bash", "env -i PATH=/usr/bin:/bin setsid -f bash", 1);
    let pair = Pair::start("sleep 60", &format!("{hidden}; sleep 60")).await;
    go(&pair);
    let (status, seen) = pair.answer("hidden").await;
    assert_eq!((status, has_credentials(&seen)), (200, (false, false)), "{seen}");
}
