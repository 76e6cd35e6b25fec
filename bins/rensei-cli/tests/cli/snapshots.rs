//! What every command looks like: with nothing to show, with something, and when it fails; wide and narrow, plain and
//! coloured. `INSTA_UPDATE=always cargo nextest run -p rensei-cli snapshots` writes the files anew.

use crate::kits::repositories;
use crate::studio::Studio;
use crate::world::until;
use std::io::{Read, Write};
use std::path::Path;

#[test]
fn snapshots_without_a_daemon() {
    let studio = Studio::without_daemon();
    for args in [
        &["host", "status"][..],
        &["host", "stats"],
        &["host", "sessions"],
        &["host", "pause"],
        &["host", "resume"],
        &["host", "drain"],
        &["host", "update"],
        &["host", "evict", "--repo", "alpha"],
        &["capacity", "status"],
        &["session", "list"],
        &["session", "show", "ses-1"],
        &["session", "output", "ses-1"],
        &["session", "stop", "ses-1"],
        &["session", "run", "--command", "true"],
        &["session", "create"],
        &["provider", "list"],
        &["provider", "show", "shell"],
        &["routing", "show"],
        &["routing", "explain", "ses-1"],
        &["workarea", "list"],
        &["workarea", "show", "ses-1"],
        &["workarea", "diff", "one", "other"],
        &["workarea", "restore", "one"],
        &["workarea", "archive", "ses-1"],
        &["workarea", "prune", "one"],
        &["host", "logs"],
        &["host", "set", "capacity.nonsense", "1"],
        &["host", "doctor"],
        &["agent", "run"],
        &["man", "nonsense"],
        &["platform", "serve", "--listen", "192.0.2.1:1"],
        &["demo", "--repo", "/nowhere"],
        &["capacity", "set", "capacity.nonsense", "1"],
        &["host", "run", "--config", "/nowhere/daemon.yaml"],
        &["kit", "list"],
        &["kit", "show", "team/rust"],
        &["kit", "verify", "team/rust"],
        &["kit", "install", "team/rust", "--git", "/nowhere"],
        &["kit", "enable", "team/rust"],
        &["kit", "disable", "team/rust"],
        &["kit", "detect", "/nowhere"],
        &["kit", "sources", "list"],
        &["kit", "sources", "enable", "local"],
        &["kit", "sources", "disable", "local"],
        &["platform", "init", "--project", "alpha", "--repository", "/r", "--data-dir", "/dev/null/x"],
    ] {
        studio.shot("error", args);
    }
    studio.shot("empty", &["host", "stop"]);
    studio.shot_server("empty", &["host", "run", "--port", "0"], "state -> running");
}

#[test]
fn snapshots_of_a_port_that_something_else_has() {
    let mut studio = Studio::without_daemon();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    studio.url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _asked = (&stream).read(&mut [0; 1024]);
            let _gone = (&stream).write_all(b"SSH-2.0-other\r\n");
        }
    });
    studio.shot("error", &["host", "stop"]);
    studio.shot("taken", &["host", "status"]);
    studio.shot("taken", &["host", "doctor"]);
}

#[test]
fn snapshots_of_wrong_calls() {
    let studio = Studio::without_daemon();
    for args in [
        &["host", "run", "--port", "99999"][..],
        &["host", "set", "capacity.poolMaxDiskGb", "many"],
        &["capacity", "set", "capacity.maxConcurrentSessions"],
        &["host", "logs", "--since", "yesterday"],
        &["session", "list", "--status", "odd"],
        &["platform", "init"],
        &["kit", "install", "team/rust"],
        &["completions", "tcsh"],
        &["nonsense"],
    ] {
        studio.shot("usage", args);
    }
}

#[test]
fn snapshots_of_an_idle_host() {
    let (studio, mut host) = Studio::with_daemon();
    for args in [
        &["host", "status"][..],
        &["host", "stats"],
        &["host", "sessions"],
        &["capacity", "status"],
        &["session", "list"],
        &["host", "doctor"],
    ] {
        studio.shot("empty", args);
    }
    studio.shot("empty", &["workarea", "list"]);
    studio.shot("missing", &["workarea", "show", "ses-1"]);
    studio.shot("missing", &["workarea", "diff", "one", "other"]);
    studio.shot("pool", &["host", "stats", "--pool"]);
    studio.shot("empty", &["host", "evict", "--repo", "alpha"]);
    studio.shot("missing", &["host", "update"]);
    studio.shot("missing", &["host", "evict", "--repo", "elsewhere"]);
    studio.shot("empty", &["routing", "show"]);
    studio.shot("normal", &["provider", "list"]);
    studio.shot("normal", &["provider", "show", "shell"]);
    studio.shot("inactive", &["provider", "show", "claude"]);
    for args in [
        &["session", "show", "ses-1"][..],
        &["session", "output", "ses-1"],
        &["session", "stop", "ses-1"],
        &["provider", "show", "nonsense"],
        &["routing", "explain", "ses-1"],
    ] {
        studio.shot("missing", args);
    }
    studio.shot("refused", &["session", "run", "--repository", "elsewhere", "--command", "true"]);
    studio.shot("normal", &["host", "pause"]);
    studio.shot("paused", &["host", "status"]);
    studio.shot("paused", &["session", "run", "--repository", "alpha", "--command", "true"]);
    studio.shot("normal", &["host", "resume"]);
    studio.shot("normal", &["host", "set", "capacity.maxConcurrentSessions", "3"]);
    studio.shot("normal", &["capacity", "set", "capacity.maxConcurrentSessions", "4"]);
    studio.shot_once("normal", &["host", "stop"]);
    assert_eq!(host.end(), Some(0));
    studio.shot("unreachable", &["host", "set", "capacity.maxConcurrentSessions", "5"]);
}

#[test]
fn snapshots_of_a_host_at_work() {
    let (studio, host) = Studio::with_daemon();
    studio.post("ses-1", "Add a file", "echo hello; echo x > out.txt");
    studio.wait("ses-1", &["completed"]);
    studio.post("ses-2", "Fail on purpose, with a title that is longer than a table has room for", "echo oops; exit 3");
    studio.wait("ses-2", &["failed"]);
    studio.post("ses-3", "Go on", "echo going; sleep 1000");
    studio.wait("ses-3", &["running"]);
    for args in [
        &["host", "status"][..],
        &["host", "stats"],
        &["host", "sessions"],
        &["capacity", "status"],
        &["session", "list"],
        &["session", "show", "ses-1"],
        &["session", "output", "ses-2"],
    ] {
        studio.shot("normal", args);
    }
    // The colour of a score depends on it.
    studio.shot_once("normal", &["routing", "show"]);
    studio.shot_once("normal", &["routing", "explain", "ses-1"]);
    studio.shot("normal", &["host", "doctor"]);
    studio.shot("failed", &["session", "show", "ses-2"]);
    studio.shot("json", &["host", "status", "--json"]);
    studio.shot("json", &["host", "stats", "--json"]);
    studio.shot("by-machine", &["host", "stats", "--by-machine"]);
    studio.shot("all", &["host", "sessions", "--all"]);
    studio.shot("json", &["host", "sessions", "--json"]);
    studio.shot_once("normal", &["session", "stop", "ses-3"]);
    studio.wait("ses-3", &["terminated"]);
    studio.shot("ended", &["session", "stop", "ses-3"]);
    studio.shot_once("normal", &["session", "run", "--repository", "alpha", "--command", "echo hi; echo y > out.txt"]);
    until("the workarea is back", || studio.json(&["host", "stats", "--pool"])["pool"]["readyMembers"] == 1);
    studio.shot_once("pool-filled", &["host", "stats", "--pool"]);
    studio.shot_once("normal", &["host", "evict", "--repo", "alpha"]);
    drop(host);
}

#[test]
fn snapshots_of_logs() {
    let studio = Studio::without_daemon();
    let log = studio.world.path().join("some.log");
    let records = [
        r#"{"time":"2026-06-02T14:00:00.000Z","level":"info","msg":"claimed","event":"claimed","sessionId":"ses-1"}"#,
        r#"{"time":"2026-06-02T14:00:01.000Z","level":"warn","msg":"poll failed","error":"HTTP 500"}"#,
        r#"{"time":"2026-06-02T14:00:02.000Z","level":"error","msg":"disk full","session_id":"ses-1"}"#,
        "a line of something else",
    ];
    std::fs::write(&log, records.join("\n") + "\n").unwrap();
    let file = log.to_str().unwrap();
    studio.shot("normal", &["host", "logs", "--file", file]);
    studio.shot("verbose", &["host", "logs", "-v", "--file", file]);
    studio.shot("json", &["host", "logs", "--json", "--level", "warn", "--file", file]);
    studio.shot("empty", &["host", "logs", "--session", "ses-9", "--file", file]);
}

#[test]
fn snapshots_of_a_daemon_from_start_to_end() {
    let (studio, mut host) = Studio::with_daemon();
    studio.shot_once("empty", &["host", "drain"]);
    assert_eq!(host.end(), Some(0));
    studio.shot_server("normal", &["host", "run", "--port", "0"], "state -> running");
    let (studio, mut host) = Studio::with_daemon();
    studio.post("ses-1", "Go on", "sleep 1000");
    studio.wait("ses-1", &["running"]);
    studio.shot_once("normal", &["host", "drain", "--timeout", "1"]);
    assert_eq!(host.end(), Some(0));
}

#[test]
fn snapshots_of_what_waits_for_a_restart() {
    let (studio, _host) = Studio::with_daemon();
    let file = studio.world.state().join("daemon.yaml");
    let edited = std::fs::read_to_string(&file).unwrap().replace("id: test", "id: renamed");
    std::fs::write(&file, edited).unwrap();
    until("the daemon has seen the edit", || {
        studio.json(&["host", "status"])["restartNeeded"] == serde_json::json!(["machine.id"])
    });
    studio.shot("restart", &["host", "status"]);
    studio.shot("restart", &["host", "doctor"]);
}

#[test]
fn snapshots_of_kits() {
    let (studio, _host) = Studio::with_daemon();
    let (kits, _project) = repositories(&studio.world);
    let tree = studio.world.path().join("project");
    let tree = tree.to_str().unwrap();
    studio.shot("empty", &["kit", "list"]);
    studio.shot("empty", &["kit", "detect", tree]);
    for args in [
        &["kit", "show", "team/rust"][..],
        &["kit", "verify", "team/rust"],
        &["kit", "enable", "team/rust"],
        &["kit", "disable", "team/rust"],
        &["kit", "sources", "enable", "nonsense"],
        &["kit", "sources", "disable", "nonsense"],
        &["kit", "install", "team/nonsense", "--git", &kits],
    ] {
        studio.shot("missing", args);
    }
    for args in [
        &["kit", "install", "team/rust", "--git", &kits][..],
        &["kit", "list"],
        &["kit", "show", "team/rust"],
        &["kit", "verify", "team/rust"],
        &["kit", "detect", tree],
        &["kit", "disable", "team/rust"],
        &["kit", "enable", "team/rust"],
        &["kit", "sources", "disable", "tessl"],
        &["kit", "sources", "list"],
        &["kit", "sources", "enable", "tessl"],
    ] {
        studio.shot("normal", args);
    }
    studio.shot("json", &["kit", "list", "--json"]);
}

#[test]
fn snapshots_of_a_control_plane() {
    let mut studio = Studio::without_daemon();
    let init = ["platform", "init", "--project", "alpha", "--repository", "https://example.org/a.git"];
    studio.shot_once("normal", &init);
    let tokens = studio.world.run(&[&init[..], &["--json"]].concat()).exits(0).json();
    studio.shot_server("normal", &["platform", "serve", "--listen", "127.0.0.1:0"], "listening on ");
    let serve = ["platform", "serve", "--listen", "127.0.0.1:0"];
    let (_server, url) = studio.world.start(&serve, "[platform] listening on ");
    studio.env = vec![
        ("RENSEI_API_URL".to_owned(), url),
        ("RENSEI_API_TOKEN".to_owned(), tokens["apiKey"].as_str().unwrap().to_owned()),
    ];
    studio.shot("queue-empty", &["session", "list"]);
    studio.shot_once("normal", &["session", "create", "--command", "true", "--title", "Add a file"]);
    studio.shot("queue", &["session", "list"]);
    let queued = studio.json(&["session", "list"]);
    let id = queued["sessions"][0]["sessionId"].as_str().unwrap().to_owned();
    studio.shot("queued", &["session", "show", &id]);
    studio.shot("empty", &["session", "output", &id]);
    studio.shot_once("queued", &["session", "stop", &id]);
}

#[test]
fn snapshots_of_the_demo_and_what_it_is_made_of() {
    let studio = Studio::without_daemon();
    studio.shot_once("normal", &["demo"]);
    studio.shot("normal", &["man", "host", "pause"]);
}

#[test]
fn snapshots_of_a_worker() {
    // The daemon's own worker only says who it is, and waits for the one that is looked at.
    let waiting =
        ["--worker-command", "/bin/sh", "--worker-arg", "-c", "--worker-arg", "env > .env && mv .env env; sleep 1000"];
    let (mut studio, _host) = Studio::with_worker(&waiting);
    studio.post("ses-1", "Add a file", "echo hello; echo x > out.txt");
    let file = studio.world.state().join("sessions/ses-1/env");
    until("the worker has started", || file.exists());
    let told = std::fs::read_to_string(file).unwrap();
    let told = told.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| name.starts_with("RENSEI_"));
    studio.env = told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    studio.shot_once("normal", &["agent", "run"]);
}

/// Commands that are looked at elsewhere, and where.
const ELSEWHERE: &[(&str, &str)] = &[("host update", "update.rs")];

/// Commands that have no empty state, and why.
const NEVER_EMPTY: &[(&str, &str)] = &[
    ("demo", "it makes what it shows"),
    ("host pause", "it does one thing"),
    ("host resume", "it does one thing"),
    ("host set", "it needs a key"),
    ("capacity set", "it needs a key"),
    ("session create", "it makes what it shows"),
    ("session run", "it makes what it shows"),
    ("session show", "it shows one thing, or `missing`"),
    ("session stop", "it stops one thing, or `missing`"),
    ("kit show", "it shows one thing, or `missing`"),
    ("kit verify", "it shows one thing, or `missing`"),
    ("kit install", "it makes what it shows"),
    ("kit enable", "it changes one thing, or `missing`"),
    ("kit disable", "it changes one thing, or `missing`"),
    ("kit sources list", "the sources are fixed"),
    ("kit sources enable", "it changes one thing, or `missing`"),
    ("kit sources disable", "it changes one thing, or `missing`"),
    ("provider list", "the runtimes are built in"),
    ("provider show", "it shows one thing, or `missing`"),
    ("workarea show", "it shows one thing, or `missing`"),
    ("workarea diff", "it compares two things, or `missing`"),
    ("workarea restore", "it makes what it shows"),
    ("workarea archive", "it makes what it shows"),
    ("routing explain", "it shows one thing, or `missing`"),
    ("platform init", "it makes what it shows"),
    ("platform serve", "it prints what it does"),
    ("agent run", "it runs one session"),
    ("completions", "it prints a script"),
    ("man", "it prints a page"),
];

/// What a command prints that is not compared as a whole.
const NOT_COMPARED: &[(&str, &str)] =
    &[("completions", "a script that another crate makes; `version_and_completions`")];

/// Commands as the reference has them, which another test compares with what can be typed: those without commands of
/// their own.
fn commands() -> Vec<String> {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let reference = std::fs::read_to_string(reference).unwrap();
    let headings = reference.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(" rensei "));
    let nouns: Vec<&str> = headings.clone().filter_map(|call| call.rsplit_once(' ')).map(|(noun, _)| noun).collect();
    headings.filter(|command| !nouns.contains(command)).map(str::to_owned).collect()
}

#[test]
fn every_command_has_snapshots() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots");
    let listed = |list: &[(&str, &str)], command: &str| list.iter().any(|(named, _why)| command.starts_with(named));
    let mut without = Vec::new();
    for command in commands().iter().filter(|command| !listed(ELSEWHERE, command)) {
        let is_shown = |state: &str| files.join(format!("{}--{state}.snap", command.replace(' ', "-"))).is_file();
        let states = [
            ("normal", is_shown("normal") || listed(NOT_COMPARED, command)),
            ("empty", is_shown("empty") || listed(NEVER_EMPTY, command)),
            ("error", is_shown("error") || is_shown("usage")),
        ];
        without.extend(states.iter().filter(|(_, shown)| !shown).map(|(state, _)| format!("{command}: {state}")));
    }
    // Reported by a command that was just added: `RENSEI_UPDATE_DOCS=1` and a case above.
    assert!(without.is_empty(), "without a snapshot: {without:#?}");
}
