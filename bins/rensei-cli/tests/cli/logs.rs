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
fn records_are_chosen_by_session_level_time_and_text() {
    let world = World::new();
    std::fs::create_dir_all(world.state()).unwrap();
    let record = |minute: u32, level: &str, session: &str, msg: &str| {
        let time = format!("2026-06-02T14:{minute:02}:00.000Z");
        format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"msg\":\"{msg}\",\"session_id\":\"{session}\"}}\n")
    };
    let earlier = [record(0, "info", "s1", "one"), record(1, "warn", "s2", "two")].concat();
    let now = ["plain three\n".to_owned(), record(3, "error", "s1", "four"), record(4, "debug", "s1", "five")].concat();
    std::fs::write(world.state().join("daemon.log.1"), &earlier).unwrap();
    std::fs::write(world.state().join("daemon.log"), &now).unwrap();
    let messages = |args: &[&str]| {
        let text = world.run(&[&["host", "logs"], args].concat()).exits(0).stdout;
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(messages(&[]), "one two three four five", "the file before the rotation is read as well");
    assert_eq!(messages(&["-n", "4"]), "two three four five");
    assert_eq!(messages(&["--session", "s1"]), "one four five");
    assert_eq!(messages(&["--session", "s1", "-n", "2"]), "four five");
    assert_eq!(messages(&["--level", "warn"]), "two four");
    assert_eq!(messages(&["--since", "2026-06-02T14:01:00Z", "--until", "2026-06-02T14:04:00Z"]), "two four");
    assert_eq!(messages(&["--since", "1s"]), "");
    assert_eq!(messages(&["--grep", "t(wo|hree)"]), "two three");
    assert_eq!(world.run(&["host", "logs", "-n", "0", "--json"]).exits(0).stdout, format!("{earlier}{now}"));
    assert!(world.run(&["host", "logs", "--grep", "("]).exits(2).stderr.contains("--grep"));
}

#[test]
fn lines_of_any_length_are_whole_and_an_unfinished_one_is_shown() {
    let world = World::new();
    std::fs::create_dir_all(world.state()).unwrap();
    let text = format!("a\n{}\nunfinished", "x".repeat(5_000_000));
    std::fs::write(world.state().join("daemon.log"), &text).unwrap();
    assert_eq!(world.run(&["host", "logs"]).exits(0).stdout, text);
    assert_eq!(world.run(&["host", "logs", "--grep", "x|u"]).exits(0).stdout, text[2..]);
}

#[test]
fn following_goes_on_in_the_next_file() {
    let world = World::new();
    write(&world, 1);
    let mut running = world.launch(world.command(&["host", "logs", "-F", "--grep", "wanted|line 0"]));
    assert_eq!(running.line(""), "2026-06-02T14:00:00 [INFO] line 0");
    let path = world.state().join("daemon.log");
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    for generation in 0..3 {
        file.write_all(format!("wanted {generation} before\nnot this\n").as_bytes()).unwrap();
        std::fs::rename(&path, world.state().join("daemon.log.1")).unwrap();
        file.write_all(format!("wanted {generation} late\n").as_bytes()).unwrap();
        file = std::fs::File::create(&path).unwrap();
        file.write_all(format!("wanted {generation} after\n").as_bytes()).unwrap();
        for what in ["before", "late", "after"] {
            assert_eq!(running.line(""), format!("wanted {generation} {what}"));
        }
    }
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
