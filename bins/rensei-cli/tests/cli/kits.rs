//! Kits, from their installation to a session that they are applied to.

use crate::world::{Done, World};

/// A repository with kits, and one that they apply to; both with a commit on `main`.
pub(crate) fn repositories(world: &World) -> (String, String) {
    let kits = world.path().join("kits");
    let put = |dir: &std::path::Path, file: &str, text: &str| {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put(
        &kits,
        "kits/rust/kit.toml",
        "[kit]\nid = \"team/rust\"\nversion = \"1.2.0\"\n[detect]\nfiles = [\"Cargo.toml\"]\nexec = \"test -f Cargo.toml\"\n\
         [provide.commands]\ntest = \"cargo test\"\n[[provide.prompt_fragments]]\npartial = \"c\"\nfile = \"c.md\"\n\
         [provide.hooks]\npost_acquire = \"bin/setup.sh\"\npre_release = \"echo bye; touch $RENSEI_SESSION_DIR/released\"\n\
         [[provide.mcp_servers]]\nname = \"docs\"\ncommand = \"docs-mcp\"\n[composition]\norder = \"foundation\"\n",
    );
    put(&kits, "kits/rust/c.md", "Run cargo fmt before you finish.");
    put(&kits, "kits/rust/bin/setup.sh", "echo from the hook > set-up.txt");
    put(
        &kits,
        "kits/other/kit.toml",
        "[kit]\nid = \"team/other\"\n[detect]\nfiles = [\"Cargo.toml\"]\n[composition]\norder = \"foundation\"\n",
    );
    let project = world.path().join("project");
    put(&project, "Cargo.toml", "[package]\n");
    for dir in [&kits, &project] {
        let dir = dir.to_str().unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main", dir]);
        world.git(&["-C", dir, "add", "."]);
        world.git(&["-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "x"]);
    }
    let bare = world.path().join("project.git");
    world.git(&["clone", "--quiet", "--bare", project.to_str().unwrap(), bare.to_str().unwrap()]);
    (kits.to_str().unwrap().to_owned(), bare.to_str().unwrap().to_owned())
}

#[test]
fn a_kit_is_installed_shown_and_applied_to_a_session() {
    let world = World::new();
    let (kits, project) = repositories(&world);
    world.configure(&project, "");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let run = |args: &[&str]| -> Done { world.run(&[args, &["--port", &port]].concat()) };

    assert_eq!(run(&["kit", "list"]).exits(0).stdout, "No kits installed.\n");
    let done = run(&["kit", "install", "team/rust", "--git", &kits, "--ref", "main"]).exits(0);
    assert!(done.stdout.starts_with("OK kit installed from git source\n"), "{}", done.stdout);
    let list = run(&["kit", "list"]).exits(0).stdout;
    let header: Vec<&str> = list.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(&header[..5], ["ID", "VERSION", "SCOPE", "STATUS", "SOURCE"]);
    assert!(list.contains("team/rust  1.2.0    project  active  local"), "{list}");
    assert!(run(&["kit", "show", "team/rust"]).exits(0).stdout.contains("cargo test"));
    assert!(run(&["kit", "verify", "team/rust"]).exits(0).stdout.contains("[unsigned]"));
    assert_eq!(run(&["kit", "verify-signature", "team/rust", "--json"]).exits(0).json()["trust"], "unsigned");
    let sources = run(&["kit", "sources", "list"]).exits(0).stdout;
    assert!(sources.lines().next().unwrap().contains("NAME") && sources.contains("agentskills"), "{sources}");

    let tree = world.path().join("project");
    let detected = run(&["kit", "detect", tree.to_str().unwrap()]).exits(0).stdout;
    assert!(
        detected.contains("team/rust@1.2.0") && detected.contains("Cargo.toml, its detect.exec said yes"),
        "{detected}"
    );
    assert!(detected.contains("test in .: cargo test"), "{detected}");
    let document = run(&["kit", "detect", tree.to_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!(document["composition"]["kits"][0]["id"], "team/rust");
    let none = run(&["kit", "detect", kits.as_str(), "--all"]).exits(0).stdout;
    assert!(none.starts_with("No kit applies.") && none.contains("there is none of Cargo.toml"), "{none}");

    let command =
        "cat > prompt.txt; cat $RENSEI_KITS_FILE > kits.json; cat $RENSEI_MCP_CONFIG > mcp.json; echo $RENSEI_KITS";
    let session = |branch: &str| {
        run(&[
            "session",
            "run",
            "--repository",
            &project,
            "--prompt",
            "Fix it.",
            "--branch",
            branch,
            "--command",
            command,
        ])
    };
    let done = session("mine").exits(0);
    assert!(done.stdout.contains("team/rust@1.2.0"), "{}", done.stdout);
    let of_branch = |file: &str| world.git(&["-C", &project, "show", &format!("mine:{file}")]);
    let prompt = of_branch("prompt.txt");
    assert!(
        prompt.starts_with("Fix it.\n\n# Notes on this repository\n\n## In `.` (team/rust)\n\n- test: `cargo test`"),
        "{prompt}"
    );
    assert!(prompt.contains("Run cargo fmt before you finish."), "{prompt}");
    assert_eq!(of_branch("set-up.txt"), "from the hook\n");
    assert!(of_branch("kits.json").contains("\"allowedShell\":[]"));
    assert!(of_branch("mcp.json").contains(r#"{"mcpServers":{"docs":{"#));
    let sessions = std::fs::read_dir(world.state().join("sessions")).unwrap();
    assert!(sessions.filter_map(Result::ok).any(|dir| dir.path().join("released").exists()), "the last hook ran");

    // A second foundation for the same directory: nobody decides but the operator.
    let _other = run(&["kit", "install", "team/other", "--git", &kits]).exits(0);
    let detect = run(&["kit", "detect", tree.to_str().unwrap()]).exits(1);
    assert!(
        detect.stderr.contains("[team/other, team/rust]") && detect.stderr.contains("rensei kit disable"),
        "{}",
        detect.stderr
    );
    let refused = session("conflict").exits(1);
    assert!(
        refused.stderr.contains("multiple foundation kits matched in .: [team/other, team/rust]"),
        "{}",
        refused.stderr
    );
    let disabled = run(&["kit", "disable", "team/other"]).exits(0).stdout;
    assert_eq!(disabled, "OK kit team/other disabled\n  Status:    disabled\n");
    let _again = session("again").exits(0);
    assert_eq!(run(&["kit", "sources", "disable", "local"]).exits(0).stdout, "OK source local disabled\n");
    assert_eq!(run(&["kit", "list"]).exits(0).stdout, "No kits installed.\n");
}

#[test]
fn a_strict_host_runs_nothing_that_is_not_signed() {
    let world = World::new();
    let (kits, project) = repositories(&world);
    world.configure(&project, "trust: {mode: signed-by-allowlist, issuerSet: [release@example.com]}\n");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let run = |args: &[&str]| -> Done { world.run(&[args, &["--port", &port]].concat()) };
    let install = ["kit", "install", "team/rust", "--git", &kits];
    let refused = run(&install).exits(1);
    assert!(
        refused.stderr.contains("trust gate rejected") && refused.stderr.contains("allowed-this-once"),
        "{}",
        refused.stderr
    );
    let _forced = run(&[&install[..], &["--trust-override", "allowed-this-once"]].concat()).exits(0);
    let tree = world.path().join("project");
    let detected = run(&["kit", "detect", tree.to_str().unwrap()]).exits(0);
    assert!(detected.stdout.contains("its detect.exec was not run: it is unsigned"), "{}", detected.stdout);
    assert!(detected.stderr.contains("c.md has no digest in [files]"), "{}", detected.stderr);
    let done = run(&["session", "run", "--repository", &project, "--branch", "b", "--command", "cat > prompt.txt; ls"])
        .exits(0);
    assert!(!done.stdout.contains("set-up.txt"), "no hook ran: {}", done.stdout);
    assert!(!world.git(&["-C", &project, "show", "b:prompt.txt"]).contains("cargo fmt"));
    let log = world.run(&["host", "logs", "--raw"]).exits(0).stdout;
    assert!(log.contains("trust gate bypassed via trustOverride=allowed-this-once"), "the audit record");
}

#[test]
fn kits_are_tried_before_they_are_installed() {
    let world = World::new();
    let (kits, _project) = repositories(&world);
    let tree = world.path().join("project");
    let kit = format!("{kits}/kits/rust");
    let done = world.run(&["kit", "detect", tree.to_str().unwrap(), "--kit", &kit]).exits(0);
    assert!(done.stdout.contains("team/rust@1.2.0"), "{}", done.stdout);
    let all = format!("{kits}/kits");
    assert!(
        world.run(&["kit", "detect", tree.to_str().unwrap(), "--kit", &all]).exits(1).stderr.contains("team/other")
    );
    let empty = world.run(&["kit", "detect", ".", "--kit", "home"]).exits(2);
    assert!(empty.stderr.contains("there is no kit in"), "{}", empty.stderr);
    std::fs::write(world.path().join("bad.kit.toml"), "[kit]\nid = 3\n").unwrap();
    let bad = world.run(&["kit", "detect", ".", "--kit", "bad.kit.toml"]).exits(1);
    assert!(bad.stderr.contains("bad.kit.toml:2:6: `kit.id` is wrong"), "{}", bad.stderr);
}
