//! `--watch`.

use crate::world::{World, finish, until};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

/// Both sides of a terminal: what is shown, and what a program writes to.
fn terminal() -> (File, File) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let user = File::options().read(true).write(true).open(path).unwrap();
    (File::from(controller), user)
}

/// Reads what is shown until it has `needle` in it.
fn read_until(screen: &mut File, seen: &mut String, needle: &str) {
    let mut chunk = [0; 4096];
    while !seen.contains(needle) {
        let count = screen.read(&mut chunk).unwrap();
        seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
}

fn interrupt(pid: u32) {
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_watch_outlives_the_daemon_and_ends_when_interrupted() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let mut watch = world.launch(world.command(&["host", "status", "--watch", "--interval", "1", "--port", &port]));
    let first = watch.line("  PID:");
    assert_eq!(first, host.pid().to_string());
    let _stopped = world.run(&["host", "stop", "--port", &port]).exits(0);
    until("the watch says that nothing listens", || watch.stderr().contains("no daemon is running"));
    drop(host);
    let (again, _) = world.start(&["host", "run", "--port", &port], "[daemon] http listening on ");
    while watch.line("  PID:") == first {}
    assert!(again.pid().to_string() != first);
    watch.signal("-INT");
    assert_eq!(watch.end(), Some(0));
    assert_eq!(watch.stderr().matches("no daemon is running").count(), 1, "{}", watch.stderr());
}

#[test]
fn a_watch_for_programs_is_one_document_per_line() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (_host, url) = world.host();
    let mut command = world.command(&["host", "stats", "--watch", "--interval", "1", "--json"]);
    command.env("RENSEI_DAEMON_URL", &url);
    let mut watch = world.launch(command);
    for _ in 0..2 {
        let document: serde_json::Value = serde_json::from_str(&watch.line("")).unwrap();
        assert_eq!(document["capacity"]["maxConcurrentSessions"], 8);
    }
    watch.signal("-INT");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_watch_on_a_terminal_draws_in_place_and_gives_the_screen_back() {
    let world = World::new();
    world.configure(&world.repository(), "");
    let (_host, url) = world.host();
    let (mut screen, user) = terminal();
    let mut command = world.command(&["host", "status", "--watch", "--interval", "1"]);
    command.env("RENSEI_DAEMON_URL", &url).env("TERM", "xterm").stdout(user);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut seen = String::new();
    // The second page goes over the first.
    read_until(&mut screen, &mut seen, "\u{1b}[J\u{1b}[H");
    assert!(seen.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[H  Daemon:    \u{1b}[32mready"), "{seen:?}");
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    read_until(&mut screen, &mut seen, "\u{1b}[?25h\u{1b}[?1049l");
    let after = seen.rsplit("\u{1b}[?1049l").next().unwrap().to_owned();
    let mut last = after;
    read_until(&mut screen, &mut last, "Timestamp:");
    assert!(last.contains("Daemon:"), "the last page stays: {last:?}");
}

#[test]
fn a_watch_of_nothing_that_can_be_asked_ends_at_once() {
    let world = World::new();
    let mut command = world.command(&["host", "status", "--watch"]);
    command.env("RENSEI_DAEMON_URL", "ftp://nowhere");
    let done = finish(command).exits(2);
    assert!(done.stderr.contains("RENSEI_DAEMON_URL"), "{}", done.stderr);
    let _refused = world.run(&["host", "status", "--interval", "5"]).exits(2);
    let _refused = world.run(&["host", "status", "--watch", "--interval", "0"]).exits(2);
}
