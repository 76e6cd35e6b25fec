//! Control plane, host and operator together.

use crate::world::{Done, Running, World, finish};
use serde_json::Value;

/// A control plane with one project.
struct Plane {
    world: World,
    repository: String,
    url: String,
    key: String,
    token: String,
    _server: Running,
}

impl Plane {
    fn new() -> Self {
        let world = World::new();
        let repository = world.repository();
        let tokens = world
            .run(&["platform", "init", "--project", "alpha", "--repository", &repository, "--json"])
            .exits(0)
            .json();
        let (server, url) = world.start(&["platform", "serve", "--listen", "127.0.0.1:0"], "[platform] listening on ");
        let text = |key: &str| tokens[key].as_str().unwrap().to_owned();
        let (key, token) = (text("apiKey"), text("registrationToken"));
        Self { world, repository, url, key, token, _server: server }
    }

    /// An operator's command.
    fn run(&self, args: &[&str]) -> Done {
        let mut command = self.world.command(args);
        command.env("RENSEI_API_URL", &self.url).env("RENSEI_API_TOKEN", &self.key);
        finish(command)
    }

    fn host(&self) -> Running {
        let rest = format!("orchestrator: {{url: '{}', authToken: '{}'}}\n", self.url, self.token);
        self.world.configure(&self.repository, &rest);
        self.world.start(&["host", "run", "--port", "0"], "[daemon] worker-id ").0
    }
}

#[test]
fn a_session_goes_out_and_its_result_comes_back() {
    let plane = Plane::new();
    let queued = plane.run(&["session", "create", "--command", "cat > out.txt; echo said", "--prompt", "p"]).exits(0);
    let id = queued.stdout.trim().to_owned();
    assert_eq!(plane.run(&["session", "show", &id, "--json"]).exits(0).json()["status"], "pending");
    let mut host = plane.host();
    let output = plane.run(&["session", "output", "--follow", &id]).exits(0).stdout;
    assert!(output.contains("said"), "{output}");
    assert_eq!(plane.run(&["session", "output", "-n", "2", &id]).exits(0).stdout.lines().count(), 2);
    let shown = plane.run(&["session", "show", &id, "--json"]).exits(0).json();
    assert_eq!((&shown["status"], &shown["result"]["pushed"]), (&"completed".into(), &true.into()), "{shown}");
    let branch = shown["result"]["branch"].as_str().unwrap();
    assert_eq!(plane.world.git(&["-C", &plane.repository, "show", &format!("{branch}:out.txt")]), "p");
    let list = plane.run(&["session", "list"]).exits(0).stdout;
    assert!(list.lines().nth(1).unwrap().starts_with(&format!("{id}  completed")), "{list}");
    host.signal("-TERM");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn waiting_fails_when_the_session_does() {
    let plane = Plane::new();
    let _host = plane.host();
    let done = plane.run(&["session", "create", "--command", "echo broken; exit 7", "--wait"]).exits(1);
    assert!(done.stderr.contains("broken"), "{}", done.stderr);
    assert!(done.stdout.contains("failed") && done.stdout.contains("exit code 7"), "{}", done.stdout);
    assert!(done.stdout.contains("queued") && done.stdout.contains("ended"), "{}", done.stdout);
    let done = plane.run(&["session", "create", "--command", "true", "--wait", "--json"]).exits(0);
    assert_eq!(done.json()["status"], "completed");
}

#[test]
fn a_queued_session_is_stopped_at_once() {
    let plane = Plane::new();
    let id = plane.run(&["session", "create", "--command", "true"]).exits(0).stdout;
    let stopped = plane.run(&["session", "stop", id.trim(), "--json"]).exits(0).json();
    assert_eq!(stopped["status"], "stopped");
    let list: Value = plane.run(&["session", "list", "--status", "stopped", "--json"]).exits(0).json();
    assert_eq!(list["count"], 1);
}

#[test]
fn refusals_name_the_next_step() {
    let plane = Plane::new();
    let wrong = plane.run(&["session", "list", "--api-key", "rsk_live_wrong"]).exits(1);
    assert!(wrong.stderr.contains("--api-key"), "{}", wrong.stderr);
    let unknown = plane.run(&["session", "show", "nobody"]).exits(1);
    assert!(unknown.stderr.contains("hint: "), "{}", unknown.stderr);
    let project = plane.run(&["session", "create", "--project", "nowhere", "--command", "true"]).exits(1);
    assert!(project.stderr.contains("`rensei platform init --project"), "{}", project.stderr);
    let other = format!("{}/elsewhere", plane.url);
    let other = plane.run(&["session", "list", "--url", &other]).exits(1);
    assert!(other.stderr.contains("does not look like a control plane"), "{}", other.stderr);
    let missing = plane.world.run(&["session", "list", "--url", &plane.url]).exits(2);
    assert!(missing.stderr.contains("RENSEI_API_TOKEN"), "{}", missing.stderr);
    let nowhere = plane.world.run(&["session", "create"]).exits(2);
    assert!(nowhere.stderr.contains("rensei session run"), "{}", nowhere.stderr);
    let again = plane.world.run(&["platform", "serve", "--listen", plane.url.trim_start_matches("http://")]).exits(1);
    assert!(again.stderr.contains("hint: "), "{}", again.stderr);
}

#[test]
fn the_page_of_init_is_ready_to_paste() {
    let world = World::new();
    let page = world
        .run(&["platform", "init", "--project", "alpha", "--repository", "https://example.org/a.git"])
        .exits(0)
        .stdout;
    for part in
        ["rensei platform serve", "authToken: \"rsp_live_", "id: \"alpha\"", "rensei host run", "RENSEI_API_TOKEN="]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn a_host_without_its_control_plane_keeps_trying_and_says_so() {
    let world = World::new();
    world.configure(
        "https://example.org/a.git",
        "orchestrator: {url: 'http://127.0.0.1:1', authToken: rsp_live_0123456789abcdef0123456789abcdef}\n",
    );
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    crate::world::until("status shows the failure", || {
        let status = world.run(&["host", "status", "--port", &port]).exits(0);
        let is_named = status.stdout.contains("Platform:  connecting: ");
        assert!(!is_named || status.stderr.contains("hint: the daemon keeps trying"), "{}", status.stderr);
        is_named
    });
}
