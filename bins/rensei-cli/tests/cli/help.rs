//! What the command says about itself.

use crate::world::World;

/// Every command that can be typed.
const COMMANDS: &[&[&str]] = &[
    &["demo"],
    &["host", "run"],
    &["host", "status"],
    &["host", "pause"],
    &["host", "resume"],
    &["host", "drain"],
    &["host", "stop"],
    &["host", "logs"],
    &["session", "create"],
    &["session", "run"],
    &["session", "list"],
    &["session", "show"],
    &["session", "output"],
    &["session", "stop"],
    &["platform", "init"],
    &["platform", "serve"],
    &["agent", "run"],
    &["completions"],
];

#[test]
fn every_command_has_help_on_stdout() {
    let world = World::new();
    for command in COMMANDS {
        let done = world.run(&[command, &["--help"][..]].concat()).exits(0);
        let usage = format!("Usage: rensei {}", command.join(" "));
        assert!(done.stdout.contains(&usage) && done.stderr.is_empty(), "{}", done.stdout);
    }
}

#[test]
fn wrong_calls_exit_with_2_and_say_so_on_stderr() {
    let world = World::new();
    for args in [
        &[][..],
        &["host"],
        &["nonsense"],
        &["host", "status", "--nonsense"],
        &["host", "run", "--port", "99999"],
        &["session", "show"],
        &["session", "show", "../etc"],
        &["session", "create", "--priority", "9"],
        &["session", "list", "--status", "odd"],
        &["session", "create", "--prompt", "a", "--prompt-file", "b"],
        &["platform", "serve", "--listen", "nowhere"],
        &["demo", "--ref", "main"],
    ] {
        let done = world.run(args).exits(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{args:?}: {done:?}");
    }
}

#[test]
fn version_and_completions() {
    let world = World::new();
    let version = world.run(&["--version"]).exits(0).stdout;
    assert_eq!(version, format!("rensei {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("rensei") && script.contains("platform"), "{shell}");
    }
}

#[test]
fn colour_is_off_in_pipes_and_on_when_asked_for() {
    let world = World::new();
    assert!(!world.run(&["host", "status", "--port", "1"]).exits(1).stderr.contains('\u{1b}'));
    assert!(world.run(&["host", "status", "--port", "1", "--color", "always"]).exits(1).stderr.contains('\u{1b}'));
}

#[test]
fn the_old_name_works_and_says_what_is_new() {
    let world = World::new();
    let done = world.run(&["daemon", "stop", "--port", "1"]).exits(0);
    let notice =
        "warning: `rensei daemon stop` is now `rensei host stop`; the old name will be removed in a future version";
    assert_eq!(done.stderr.trim_end(), notice);
    assert!(done.stdout.starts_with("nothing to stop"), "{done:?}");
    assert!(!world.run(&["--help"]).exits(0).stdout.contains("\n  daemon"));
    let help = world.run(&["daemon", "--help"]).exits(0);
    assert!(help.stderr.starts_with("warning: `rensei daemon` is now `rensei host`;"), "{}", help.stderr);
    let fleet = world.run(&["machine", "list"]).exits(2);
    assert!(fleet.stderr.starts_with("warning: `rensei machine` is about a fleet"), "{}", fleet.stderr);
}

#[test]
fn the_worker_refuses_to_start_without_a_session() {
    let world = World::new();
    let done = world.run(&["agent", "run"]).exits(2);
    assert!(done.stderr.contains("RENSEI_SESSION_ID"), "{}", done.stderr);
}
