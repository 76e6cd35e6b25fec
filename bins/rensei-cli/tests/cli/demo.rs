//! `rensei demo`, end to end.

use crate::world::{World, until};

/// Nothing is left of a demo: no process, no directory.
fn is_clean(world: &World) {
    world.is_quiet();
    let left: Vec<_> = std::fs::read_dir(world.tmp()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!world.state().exists(), "the user's own state was touched");
}

#[test]
fn the_whole_loop_runs_and_leaves_nothing() {
    let world = World::new();
    let done = world.run(&["demo", "--prompt", "say hello"]).exits(0);
    for event in ["dispatched", "claimed", "workarea", "task: say hello", "committed", "pushed", "completed"] {
        assert!(done.stdout.contains(event), "{event}: {}", done.stdout);
    }
    assert!(done.stdout.contains("+say hello"), "no patch: {}", done.stdout);
    assert!(done.stdout.contains("--keep"), "{}", done.stdout);
    is_clean(&world);
}

#[test]
fn one_document_for_programs() {
    let world = World::new();
    let done = world.run(&["demo", "--json", "--command", "echo x > made.txt"]).exits(0);
    let result = done.json();
    assert_eq!((&result["status"], &result["result"]["pushed"]), (&"completed".into(), &true.into()), "{result}");
    assert_eq!(result["result"]["diff"]["files"][0]["path"], "made.txt");
    assert!(result["timeline"].as_array().unwrap().iter().any(|event| event["event"] == "claimed"), "{result}");
    is_clean(&world);
}

#[test]
fn a_failing_command_fails_the_demo() {
    let world = World::new();
    let done = world.run(&["demo", "--command", "echo it broke; exit 4"]).exits(1);
    assert!(done.stdout.contains("it broke") && done.stdout.contains("exit code 4"), "{}", done.stdout);
    assert!(done.stderr.contains("hint: ") && done.stderr.contains("--keep"), "{}", done.stderr);
    is_clean(&world);
}

#[test]
fn a_given_repository_gets_one_branch_and_nothing_else() {
    let world = World::new();
    let repository = world.repository();
    world.git(&["-C", &repository, "tag", "start", "main"]);
    let before = world.git(&["-C", &repository, "for-each-ref"]);
    let done = world.run(&["demo", "--repo", &repository, "--ref", "start", "--json"]).exits(0);
    let branch = done.json()["result"]["branch"].as_str().unwrap().to_owned();
    let after = world.git(&["-C", &repository, "for-each-ref"]);
    let new: Vec<_> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(new.len() == 1 && new[0].ends_with(&format!("refs/heads/{branch}")), "{new:?}");
    assert!(before.lines().all(|line| after.contains(line)), "{after}");
    is_clean(&world);
}

#[test]
fn expressions_name_a_start_as_well() {
    let world = World::new();
    let repository = world.repository();
    let first = world.git(&["-C", &repository, "rev-parse", "main"]);
    let user = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    let second = ["commit-tree", "main^{tree}", "-p", "main", "-m", "second"];
    let second = world.git(&[&["-C", &repository][..], &user, &second].concat());
    world.git(&["-C", &repository, "update-ref", "refs/heads/main", second.trim()]);
    let done = world.run(&["demo", "--repo", &repository, "--ref", "main~1", "--json"]).exits(0);
    assert_eq!(done.json()["result"]["baseSha"], first.trim());
    is_clean(&world);
}

#[test]
fn the_demos_own_repository_is_nobody_elses_style() {
    let world = World::new();
    let hooks = world.path().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    let hook = hooks.join("reference-transaction");
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!("[core]\n\thooksPath = {}\n[init]\n\ttemplateDir = /nowhere\n", hooks.display());
    std::fs::write(world.path().join("home/.gitconfig"), config).unwrap();
    let done = world.run(&["demo"]).exits(0);
    assert!(!done.stderr.contains("templates"), "{}", done.stderr);
    is_clean(&world);
}

#[test]
fn what_cannot_be_worked_on_is_refused_before_anything_starts() {
    let world = World::new();
    let repository = world.repository();
    let plain = world.path().join("home");
    let empty = world.path().join("empty");
    world.git(&["init", "--quiet", empty.to_str().unwrap()]);
    for (args, part) in [
        (&["--repo", plain.to_str().unwrap()][..], "is not a git repository"),
        (&["--repo", "missing"], "no directory `missing`"),
        (&["--repo", &repository, "--ref", "nowhere"], "no branch, tag or commit `nowhere`"),
        (&["--repo", &repository, "--ref", "--help"], "no branch, tag or commit `--help`"),
        (&["--repo", empty.to_str().unwrap()], "no commit to start from"),
    ] {
        let ref_with_dash = args.contains(&"--help");
        let args: Vec<String> = match ref_with_dash {
            true => vec!["demo".into(), "--repo".into(), repository.clone(), "--ref=--help".into()],
            false => std::iter::once("demo").chain(args.iter().copied()).map(str::to_owned).collect(),
        };
        let done = world.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(1);
        assert!(done.stderr.contains(part) && done.stderr.contains("hint: "), "{args:?}: {}", done.stderr);
        assert!(!done.stderr.contains("demo --keep"), "there is nothing to keep: {}", done.stderr);
        assert!(!done.stdout.contains("control plane"), "{}", done.stdout);
    }
    is_clean(&world);
}

#[test]
fn an_unreachable_remote_fails_the_session_clearly() {
    let world = World::new();
    let url = format!("file://{}/nothing.git", world.path().display());
    let done = world.run(&["demo", "--repo", &url]).exits(1);
    assert!(done.stdout.contains("nothing.git") && done.stdout.contains("failed"), "{}", done.stdout);
    assert!(done.stderr.contains("`git ls-remote file://"), "{}", done.stderr);
    is_clean(&world);
}

#[test]
fn a_kept_directory_holds_the_result() {
    let world = World::new();
    let done = world.run(&["demo", "--keep"]).exits(0);
    let command = done.stdout.lines().find_map(|line| line.trim().strip_prefix("git ")).unwrap().to_owned();
    let args: Vec<&str> = command.split(' ').collect();
    assert!(world.git(&args).contains("rensei-demo.md"));
    let kept = done.stderr.lines().find_map(|line| line.strip_prefix("kept: ")).unwrap().to_owned();
    assert!(std::path::Path::new(&kept).join("state").is_dir());
    world.is_quiet();
}

#[test]
fn a_signal_at_any_moment_leaves_nothing() {
    for (moment, command) in [
        ("repository", "true"),
        ("control plane", "true"),
        ("dispatched", "sleep 1000"),
        ("| up", "echo up; sleep 1000"),
        ("| stubborn", "trap '' TERM INT; echo stubborn; while :; do sleep 1; done"),
    ] {
        for signal in ["-INT", "-TERM"] {
            let world = World::new();
            let mut demo = world.launch(world.command(&["demo", "--command", command]));
            demo.line_with(moment);
            demo.signal(signal);
            assert_eq!(demo.end(), Some(130), "{moment} {signal}: {}", demo.stderr());
            is_clean(&world);
        }
    }
}

#[test]
fn a_reader_that_leaves_ends_the_demo_cleanly() {
    let world = World::new();
    let mut command = world.command(&["demo", "--command", "sleep 1000"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    until("the demo ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    is_clean(&world);
}

#[test]
fn a_killed_demo_takes_its_children_along() {
    let world = World::new();
    let mut demo = world.launch(world.command(&["demo", "--command", "echo up; sleep 1000"]));
    demo.line_with("| up");
    demo.signal("-KILL");
    assert_eq!(demo.end(), None);
    world.is_quiet();
}

#[test]
fn a_dying_host_ends_the_demo_with_its_log() {
    let world = World::new();
    let mut demo = world.launch(world.command(&["demo", "--command", "echo up; sleep 1000"]));
    demo.line_with("| up");
    let host = world.survivors().into_iter().find(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).nth(1) == Some(b"host")
    });
    let host = host.expect("the host runs").to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &host]).status().unwrap().success());
    assert_eq!(demo.end(), Some(1));
    assert!(
        demo.stderr().contains("host ended unexpectedly") && demo.stderr().contains("[daemon]"),
        "{}",
        demo.stderr()
    );
    until("no directory is left", || std::fs::read_dir(world.tmp()).unwrap().next().is_none());
    world.is_quiet();
}
