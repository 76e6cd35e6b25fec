//! The daemon on this machine, without a control plane.

use crate::world::{World, until};
use std::net::TcpListener;
use std::process::Command;

#[test]
fn commands_say_that_nothing_runs_and_how_to_start_it() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    for args in [&["host", "status"][..], &["host", "pause"], &["host", "drain"], &["session", "list"]] {
        let done = world.run(&[args, &["--port", &port]].concat()).exits(1);
        assert!(done.stderr.contains("rensei host run") && done.stdout.is_empty(), "{args:?} {}", done.stderr);
    }
    let stop = world.run(&["host", "stop", "--port", &port]).exits(0);
    assert!(stop.stdout.contains("no daemon listens"), "{stop:?}");
    assert!(!world.state().exists(), "asking made a state directory");
}

#[test]
fn run_status_pause_resume_stop() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (mut host, url) = world.host();
    let ask = |args: &[&str]| {
        let mut command = world.command(args);
        command.env("RENSEI_DAEMON_URL", &url);
        crate::world::finish(command)
    };
    let page = ask(&["host", "status"]).exits(0).stdout;
    assert!(page.starts_with("  Daemon:    ready\n  Machine:   test\n  Version:   "), "{page}");
    assert!(page.contains("  Platform:  none; local sessions only"), "{page}");
    let status = ask(&["host", "status", "--json"]).exits(0).json();
    assert_eq!((&status["status"], &status["projectsAllowed"]), (&"ready".into(), &1.into()));
    assert_eq!(status["pid"], host.pid());
    let _paused = ask(&["host", "pause"]).exits(0);
    assert_eq!(ask(&["host", "status", "--json"]).exits(0).json()["status"], "paused");
    let _resumed = ask(&["host", "resume"]).exits(0);
    let _stopped = ask(&["host", "stop"]).exits(0);
    assert_eq!(host.end(), Some(0));
    host.line("[daemon] stopped");
    let log = world.run(&["host", "logs", "--raw"]).exits(0).stdout;
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert!(first["time"].is_string() && first["level"].is_string() && first["msg"].is_string(), "{log}");
    world.is_quiet();
}

#[test]
fn sessions_run_without_a_control_plane() {
    let world = World::new();
    let repository = world.repository();
    world.configure(&repository, "");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let run = |args: &[&str]| world.run(&[args, &["--port", &port]].concat());

    let done = run(&[
        "session",
        "run",
        "--repository",
        &repository,
        "--title",
        "Add a file",
        "--prompt",
        "hello",
        "--branch",
        "mine",
        "--command",
        "cat > out.txt; echo done",
    ])
    .exits(0);
    assert_eq!(done.stdout, "done\n");
    assert!(done.stderr.contains("mine (pushed)") && done.stderr.contains("1 file changed, +1 -0"), "{}", done.stderr);
    assert_eq!(world.git(&["-C", &repository, "show", "mine:out.txt"]), "hello");
    assert_eq!(world.git(&["-C", &repository, "log", "-1", "--format=%s", "mine"]), "Add a file\n");

    let failed = run(&["session", "run", "--repository", "alpha", "--command", "echo oops >&2; exit 3", "--json"]);
    let failed = failed.exits(1);
    let id = failed.json()["sessionId"].as_str().unwrap().to_owned();
    let page = run(&["session", "show", &id]).exits(0).stdout;
    assert!(page.contains("failed") && page.contains("exit code 3") && page.contains("oops"), "{page}");
    let list = run(&["session", "list"]).exits(0).stdout;
    let document = run(&["session", "list", "--json"]).exits(0).json();
    assert_eq!(document.as_array().unwrap().last().unwrap()["sessionId"], id.as_str(), "oldest first: {document}");
    let newest = run(&["session", "list", "--json", "--limit", "1"]).exits(0).json();
    assert_eq!((newest[0]["sessionId"].as_str(), newest.as_array().unwrap().len()), (Some(id.as_str()), 1));
    assert!(list.lines().nth(1).unwrap().starts_with(&id), "newest first: {list}");
    assert!(run(&["session", "output", &id]).exits(0).stdout.starts_with("oops\n"));

    let limited =
        run(&["session", "run", "--repository", "alpha", "--max-duration", "1", "--command", "sleep 60", "--json"]);
    let limited = limited.exits(1).json()["sessionId"].as_str().unwrap().to_owned();
    let page = run(&["session", "show", &limited]).exits(0).stdout;
    assert!(page.contains("failed") && page.contains("ran longer than maxDurationSeconds (1)"), "{page}");

    let refused = run(&["session", "run", "--repository", "elsewhere", "--command", "true"]).exits(1);
    assert!(refused.stderr.contains("allowlist") && refused.stderr.contains("hint: "), "{}", refused.stderr);
    let unknown = run(&["session", "show", "nobody"]).exits(1);
    assert!(unknown.stderr.contains("rensei session list"), "{}", unknown.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_takes_all_the_descriptors_that_it_may_and_sessions_get_what_is_usual() {
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let world = World::new();
    world.configure(&world.repository(), "");
    let host = world.command(&["host", "run", "--port", "0"]);
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -Sn 512; exec \"$0\" \"$@\""]).arg(host.get_program()).args(host.get_args());
    limited
        .env_clear()
        .envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(world.path());
    let mut host = world.launch(limited);
    let address = host.line("[daemon] http listening on ");
    host.line("[daemon] state -> running");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let hard = maximum.map_or("unlimited".to_owned(), |maximum| maximum.to_string());
    assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [&hard, &hard]);
    let port = address.rsplit(':').next().unwrap();
    let asked = ["session", "run", "--repository", "alpha", "--command", "ulimit -Sn", "--port", port];
    assert_eq!(world.run(&asked).exits(0).stdout, "512\n");
}

#[test]
fn a_detached_session_is_stopped_by_id() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let run = |args: &[&str]| world.run(&[args, &["--port", &port]].concat());
    let id = run(&["session", "run", "--repository", "alpha", "--command", "sleep 1000", "--detach"]).exits(0).stdout;
    let _answer = run(&["session", "stop", id.trim()]).exits(0);
    let state = || run(&["session", "show", id.trim(), "--json"]).exits(0).json()["state"].clone();
    until("the session is terminated", || state() == "terminated");
}

#[test]
fn a_signal_stops_the_session_that_is_watched() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap();
    let args = ["session", "run", "--repository", "alpha", "--command", "echo up; sleep 1000", "--port", port];
    let mut run = world.launch(world.command(&args));
    run.line("up");
    run.signal("-INT");
    assert_eq!(run.end(), Some(1));
    assert!(run.stderr().contains("terminated"), "{}", run.stderr());
}

#[test]
fn drain_waits_for_what_runs_and_says_what_it_forced() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let gate = world.path().join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());

    let (mut host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let session = ["session", "run", "--repository", "alpha", "--detach", "--port", &port, "--command", &wait];
    let _id = world.run(&session).exits(0);
    let mut drain = world.launch(world.command(&["host", "drain", "--port", &port]));
    host.line("[daemon] state -> draining");
    std::fs::write(&gate, "").unwrap();
    drain.line("drained: every session ended by itself");
    assert_eq!((drain.end(), host.end()), (Some(0), Some(0)));

    std::fs::remove_file(&gate).unwrap();
    let (mut host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let session = ["session", "run", "--repository", "alpha", "--detach", "--port", &port, "--command", &wait];
    let id = world.run(&session).exits(0).stdout;
    let drain = world.run(&["host", "drain", "--timeout", "1", "--port", &port]).exits(1);
    assert!(drain.stderr.contains(id.trim()) && drain.stderr.contains("had to be ended"), "{}", drain.stderr);
    assert_eq!(host.end(), Some(0));
    world.is_quiet();
}

#[test]
fn signals_drain_first_and_stop_then() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (mut host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let _id = world
        .run(&["session", "run", "--repository", "alpha", "--detach", "--port", &port, "--command", "sleep 1000"])
        .exits(0);
    host.signal("-TERM");
    host.line("[daemon] SIGTERM: draining 1 session");
    host.signal("-TERM");
    host.line("[daemon] SIGTERM: stopping");
    assert_eq!(host.end(), Some(0));
    world.is_quiet();
}

#[test]
fn a_host_started_with_nohup_outlives_its_terminal() {
    let world = World::new();
    world.configure("https://example.org/a.git", "");
    let mut command = std::process::Command::new("nohup");
    let host = world.command(&["host", "run", "--port", "0"]);
    command.arg(host.get_program()).args(host.get_args()).env_clear().current_dir(world.path());
    command.envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut host = world.launch(command);
    host.line("[daemon] state -> running");
    host.signal("-HUP");
    host.signal("-TERM");
    host.line("[daemon] SIGTERM: draining 0 sessions");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn a_daemon_that_cannot_start_says_why_and_what_to_do() {
    let world = World::new();
    world.configure("https://example.org/a.git", "");
    let (host, url) = world.host();
    let second = world.run(&["host", "run", "--port", "0"]).exits(1);
    assert!(second.stderr.contains(&host.pid().to_string()) && second.stderr.contains("hint: "), "{}", second.stderr);

    let other = World::new();
    other.configure("https://example.org/a.git", "");
    let taken = other.run(&["host", "run", "--port", url.rsplit(':').next().unwrap()]).exits(1);
    assert!(taken.stderr.contains("--port"), "{}", taken.stderr);
    let missing = other.run(&["host", "run", "--port", "0", "--config", "nowhere.yaml"]).exits(1);
    assert!(missing.stderr.contains("nowhere.yaml") && missing.stderr.contains("hint: "), "{}", missing.stderr);
    let public = other.run(&["host", "run", "--port", "0", "--host", "0.0.0.0"]).exits(1);
    assert!(public.stderr.contains("loopback"), "{}", public.stderr);

    std::fs::write(other.state().join("daemon.yaml"), "machine:\n  id: m\ncapacity:\n  maxConcurrentSessions: many\n")
        .unwrap();
    let broken = other.run(&["host", "run", "--port", "0"]).exits(1);
    assert!(broken.stderr.contains("daemon.yaml") && broken.stderr.contains("maxConcurrentSessions"), "{broken:?}");
    assert!(broken.stderr.contains('4'), "the line: {}", broken.stderr);
}

#[test]
fn a_state_root_that_cannot_be_made_is_named() {
    let world = World::new();
    let file = world.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = world.command(&["host", "run", "--port", "0"]);
    command.env("RENSEI_HOME", file.join("state"));
    let done = crate::world::finish(command).exits(1);
    assert!(done.stderr.contains("RENSEI_HOME") && done.stderr.contains("file/state"), "{}", done.stderr);
    let mut command = world.command(&["host", "run"]);
    command.env("RENSEI_HOME", "relative");
    let done = crate::world::finish(command).exits(2);
    assert!(done.stderr.contains("absolute"), "{}", done.stderr);
}

#[test]
fn what_can_run_a_session_and_what_did() {
    let world = World::new();
    let repository = world.repository();
    world.configure(&repository, "");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let run = |args: &[&str]| world.run(&[args, &["--port", &port]].concat());

    let list = run(&["provider", "list"]).exits(0);
    assert!(list.stdout.starts_with("agent-runtime\n  NAME"), "{}", list.stdout);
    assert!(list.stderr.contains("`rensei provider show amp`"), "{}", list.stderr);
    let shell = run(&["provider", "show", "shell", "--json"]).exits(0).json()["provider"].clone();
    assert_eq!((&shell["status"], &shell["source"]), (&"ready".into(), &"bundled".into()));
    assert!(run(&["provider", "show", "claude"]).exits(0).stdout.contains("there is no runtime of that name"));
    let unknown = run(&["provider", "show", "../x"]).exits(1);
    assert!(unknown.stderr.contains("provider not found") && unknown.stderr.contains("rensei provider list"));

    assert!(run(&["routing", "show"]).exits(0).stdout.ends_with("=== Recent decisions ===\n  none\n"));
    let ended = run(&["session", "run", "--repository", "alpha", "--command", "true", "--json"]).exits(0).json();
    let id = ended["sessionId"].as_str().unwrap();
    let explained = run(&["routing", "explain", id, "--json"]).exits(0).json();
    assert_eq!((&explained["decision"]["chosenLLM"], &explained["trace"][7]["step"]), (&"shell".into(), &8.into()));
    let plain = run(&["routing", "explain", id, "--plain"]).exits(0).stdout;
    assert!(
        plain.starts_with(&format!("session: {id}\nchosen-sandbox: local\nchosen-llm: shell\nscore: 0.")),
        "{plain}"
    );
    let plain = run(&["routing", "show", "--plain"]).exits(0).stdout;
    let decided = format!("recent-decisions:\n  - session={id} sandbox=local llm=shell score=0.");
    assert!(plain.contains(&decided), "{plain}");
    let unknown = run(&["routing", "explain", "s2"]).exits(1);
    assert!(unknown.stderr.contains("rensei routing show"), "{}", unknown.stderr);
}

#[test]
fn the_keys_that_can_be_set_are_listed_and_mistakes_change_nothing() {
    let world = World::new();
    world.configure("/r", "# a comment\n");
    let path = world.state().join("daemon.yaml");
    let before = std::fs::read_to_string(&path).unwrap();
    let list = world.run(&["host", "set", "--list"]).exits(0).stdout;
    assert!(list.lines().any(|line| line.starts_with("capacity.maxConcurrentSessions ")), "{list}");
    for wrong in [["capacity.nonsense", "1"], ["autoUpdate.channel", "odd"], ["capacity.poolMaxDiskGb", "-1"]] {
        let done = world.run(&["host", "set", wrong[0], wrong[1], "--port", "1"]);
        assert!(done.code != Some(0) && done.stderr.contains("hint: "), "{done:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    }
    let done = world.run(&["host", "set", "capacity.maxConcurrentSessions", "0", "--port", "1", "--json"]).exits(0);
    assert_eq!((&done.json()["ok"], &done.json()["value"]), (&true.into(), &"0".into()));
    assert!(done.json()["message"].as_str().unwrap().contains("next start"), "{done:?}");
    let secret = world.run(&["host", "set", "orchestrator.authToken", "rsp_live_x", "--json"]);
    assert!(!secret.stdout.contains("rsp_live_x") && !secret.stderr.contains("rsp_live_x"), "{secret:?}");
    let after = std::fs::read_to_string(&path).unwrap();
    assert!(after.contains("# a comment") && after.contains("maxConcurrentSessions: 0"), "{after}");
}
