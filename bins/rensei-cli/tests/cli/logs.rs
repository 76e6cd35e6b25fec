//! `rensei host logs`.

use crate::world::{World, until};
use std::io::Write;
use std::process::Stdio;

fn write(world: &World, lines: usize) -> String {
    std::fs::create_dir_all(world.state()).unwrap();
    let record = |n| format!("{{\"time\":\"2026-06-02T14:00:00.000Z\",\"level\":\"info\",\"msg\":\"line {n}\"}}\n");
    let text: String = (0..lines).map(record).collect();
    std::fs::write(world.state().join("daemon.log"), &text).unwrap();
    text
}

#[test]
fn the_last_lines_are_shown_for_people_or_raw() {
    let world = World::new();
    let text = write(&world, 60);
    let done = world.run(&["host", "logs"]).exits(0).stdout;
    assert_eq!((done.lines().count(), done.lines().next()), (50, Some("2026-06-02T14:00:00 [INFO] line 10")));
    assert_eq!(world.run(&["host", "logs", "-n", "1"]).exits(0).stdout, "2026-06-02T14:00:00 [INFO] line 59\n");
    assert_eq!(world.run(&["host", "logs", "-n", "0", "--raw", "-f", "~/.rensei/daemon.log"]).exits(0).stdout, text);
}

#[test]
fn a_missing_file_is_named() {
    let done = World::new().run(&["host", "logs"]).exits(1);
    assert!(done.stderr.contains(".rensei/daemon.log") && done.stderr.contains("hint: "), "{}", done.stderr);
}

#[test]
fn following_starts_with_the_last_lines_and_goes_on() {
    let world = World::new();
    write(&world, 5);
    let mut running = world.launch(world.command(&["host", "logs", "-F", "-n", "1"]));
    assert_eq!(running.line(""), "2026-06-02T14:00:00 [INFO] line 4");
    let mut file = std::fs::File::options().append(true).open(world.state().join("daemon.log")).unwrap();
    file.write_all(b"plain\n").unwrap();
    assert_eq!(running.line(""), "plain");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let world = World::new();
    write(&world, 100_000);
    let mut command = world.command(&["host", "logs", "-n", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    until("the command ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
