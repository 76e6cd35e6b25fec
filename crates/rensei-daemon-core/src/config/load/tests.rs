use super::*;
use crate::config::model::{Channel, CloneStrategy, Schedule, TrustMode};
use rensei_proto::error_chain;

fn defaults() -> Defaults {
    Defaults { hostname: "Big_Mac..local".to_owned(), cpus: 6 }
}

fn environment(env: &[(&str, &str)]) -> BTreeMap<String, String> {
    env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn loaded(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    parse(Path::new("/x/daemon.yaml"), text, &environment(env), &defaults())
}

fn config(text: &str) -> Config {
    loaded(text, &[("HOME", "/u")]).unwrap().config
}

#[test]
fn config_full_file() {
    let text = "apiVersion: donmai.dev/v1\nkind: Other\nmachine: {id: m1, region: home}\ncapacity:\n\
        \x20 maxConcurrentSessions: 0\n  maxVCpuPerSession: 2\n  maxMemoryMbPerSession: 4096\n\
        \x20 reservedForSystem: {vCpu: 0, memoryMb: 1}\n  poolMaxDiskGb: 9\nprojects:\n\
        - id: a\n  repository: https://x.y/a\n  cloneStrategy: reference-clone\n  git: {sshKey: ~/k}\n\
        - id: b\n  repoUrl: /srv/b\norchestrator:\n  url: http://127.0.0.1:1\n  authToken: ${TOKEN}-x\n\
        autoUpdate: {channel: beta, schedule: on-release, drainTimeoutSeconds: 7}\n\
        observability: {logFormat: ndjson, logPath: ~/l, metricsPort: 9101}\n\
        workarea: {archiveRoot: /a, diffStreamingThreshold: 3}\nkit: {scanPaths: [~/k1, /k2]}\n\
        trust: {mode: signed-by-allowlist, issuerSet: [me@x.y], actor: ops}\ncontrol: {auth: open}\nfuture: {a: 1}\n";
    let config = loaded(text, &[("HOME", "/u"), ("TOKEN", "rsp_live_1")]).unwrap().config;
    assert_eq!((config.api_version.as_str(), config.kind.as_str()), ("donmai.dev/v1", "Other"));
    assert_eq!((config.machine.id.as_str(), config.machine.region.as_deref()), ("m1", Some("home")));
    assert_eq!(config.max_sessions(), 0, "an explicit zero is kept");
    assert_eq!((config.capacity.max_vcpu_per_session, config.capacity.max_memory_mb_per_session), (2, 4096));
    let reserved = &config.capacity.reserved_for_system;
    assert_eq!((reserved.vcpu, reserved.memory_mb, config.capacity.pool_max_disk_gb), (0, 1, 9));
    assert_eq!(config.projects[0].clone_strategy, CloneStrategy::ReferenceClone);
    assert_eq!(config.projects[0].git.ssh_key.as_deref(), Some("/u/k"));
    assert_eq!(config.projects[1].repository, "/srv/b");
    assert_eq!(config.orchestrator.unwrap().auth_token.unwrap().expose(), "rsp_live_1-x");
    assert_eq!((config.auto_update.channel, config.auto_update.schedule), (Channel::Beta, Schedule::OnRelease));
    assert_eq!(config.auto_update.drain_timeout_seconds, 7);
    let observability = config.observability.unwrap();
    assert_eq!((observability.log_format.as_deref(), observability.metrics_port), (Some("ndjson"), Some(9101)));
    assert_eq!(observability.log_path.unwrap(), Path::new("/u/l"));
    assert_eq!(config.workarea.archive_root(Path::new("/s")), Path::new("/a"));
    assert_eq!(config.workarea.diff_streaming_threshold, 3);
    assert_eq!(config.kit.scan_paths(Path::new("/s")), [Path::new("/u/k1"), Path::new("/k2")]);
    assert_eq!((config.trust.mode, config.trust.actor.as_deref()), (TrustMode::SignedByAllowlist, Some("ops")));
    assert_eq!(config.trust.issuer_set[0].entry(), "me@x.y");
    assert_eq!(config.control.auth, crate::handle::ControlAuth::Open);
}

#[test]
fn config_empty_values_are_absent_ones() {
    let nulls = "apiVersion:\nkind: ''\nmachine:\ncapacity:\n  maxConcurrentSessions:\n  maxVCpuPerSession: 0\n\
        \x20 reservedForSystem:\nprojects:\nautoUpdate:\n  channel: ''\n  schedule:\n  drainTimeoutSeconds: 0\n\
        observability:\nworkarea:\n  archiveRoot: ''\nkit:\n  scanPaths:\ntrust:\n  mode:\n  issuerSet:\ncontrol:\n  auth:\n";
    for text in ["", "# only a comment\n", "---\n", "{}", nulls] {
        let config = config(text);
        let machine = config.machine.clone();
        assert_eq!(machine.id, "big-mac-local");
        assert_eq!(config, Config { machine, ..Config::default() }, "{text:?}");
        assert_eq!(config.max_sessions(), 8);
        assert_eq!(config.kit.scan_paths(Path::new("/s")), [Path::new("/s/kits")]);
        assert_eq!(config.workarea.archive_root(Path::new("/s")), Path::new("/s/workareas"));
    }
    assert!(config("observability: {}").observability.is_some(), "absent differs from empty");
}

#[test]
fn config_without_a_file_is_a_local_host() {
    let env = environment(&[("RENSEI_ORCHESTRATOR_URL", "http://h"), ("RENSEI_DAEMON_TOKEN", "t")]);
    let none = load(Path::new("/nonexistent/daemon.yaml"), &BTreeMap::new(), &defaults()).unwrap();
    assert_eq!((none.machine.id.as_str(), none.max_sessions()), ("big-mac-local", 3));
    assert_eq!((none.machine.region.as_deref(), none.capacity.reserved_for_system.vcpu), (Some("local"), 1));
    assert!(none.orchestrator.is_none());
    let url = load(Path::new("/nonexistent/daemon.yaml"), &env, &defaults()).unwrap().orchestrator.unwrap();
    assert_eq!((url.url.as_str(), url.token_source), ("http://h", TokenSource::Environment));
}

#[test]
fn config_warnings_name_the_key_and_the_remedy() {
    let text = "projects:\n- {id: a, repoUrl: 'https://u:pw@h/a'}\n- {id: a, repository: r, repoUrl: x}\n\
                orchestrator: {url: 'http://h', authToken: '${NOPE}'}\n";
    let warnings = loaded(text, &[]).unwrap().warnings;
    let keys: Vec<_> = warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, ["projects[0].repoUrl", "projects[1].id", "orchestrator.authToken"]);
    assert!(warnings[2].message.contains("NOPE"));
    assert!(!format!("{warnings:?}").contains("pw"), "no password of a URL in a log");
}

#[test]
fn config_file_modes_that_give_things_away() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my daemon.yaml");
    let warnings = |text: &str, mode, env: &[(&str, &str)]| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        inspect(&path, &environment(env), &defaults()).unwrap().warnings
    };
    let literal = "orchestrator: {url: 'http://h', authToken: rsp_live_1}";
    let variable = "orchestrator: {url: 'http://h', authToken: '${T}'}";
    assert!(warnings(literal, 0o600, &[]).is_empty());
    assert!(warnings(variable, 0o644, &[("T", "x")]).is_empty());
    let readable = warnings(literal, 0o640, &[]);
    assert!(readable[0].message.contains("read") && readable[0].message.contains("token"));
    assert_eq!(readable[0].hint, format!("chmod 600 '{}'", path.display()));
    assert!(warnings("machine: {}", 0o620, &[])[0].message.contains("change"));
    assert!(!format!("{readable:?}").contains("rsp_live_1"));
}

#[test]
fn a_config_file_of_another_user_is_warned_of() {
    let config = Config::default();
    let warning = |owner, me, mode| exposed(Path::new("/etc/my daemon.yaml"), Access { owner, mode, me }, &config);
    for (owner, me) in [(1000, 1000), (0, 1000), (0, 0)] {
        assert_eq!(warning(owner, me, 0o600), None, "{owner} is trusted by {me}");
        assert!(warning(owner, me, 0o602).unwrap().message.contains("other users can change"));
    }
    for me in [0, 1001] {
        let foreign = warning(1000, me, 0o600).unwrap();
        assert!(foreign.message.contains("belongs to another user"), "{foreign:?}");
        let file = "'/etc/my daemon.yaml'";
        assert_eq!(foreign.hint, format!("sudo chown {me} {file} && sudo chmod 600 {file}"));
    }
}

#[test]
fn config_errors_name_place_key_and_what_is_allowed() {
    let cases = [
        ("machine: [", &["daemon.yaml:"][..]),
        ("- a\n", &["daemon.yaml:1:1", "expected"]),
        (
            "machine: {id: m}\nprojects:\n- id: a\n  repository: r\n  cloneStrategy: deep\n",
            &["daemon.yaml:5:18", "projects[0].cloneStrategy", "`deep`", "`shallow`", "`full`", "`reference-clone`"],
        ),
        (
            "capacity:\n  maxConcurrentSessions: -1\n",
            &["daemon.yaml:2:26", "`capacity.maxConcurrentSessions`", "from 0 to 4294967295", "not -1"],
        ),
        ("capacity:\n  poolMaxDiskGb: many\n", &["daemon.yaml:2:18", "capacity.poolMaxDiskGb", "whole number"]),
        ("capacity: {maxVCpuPerSession: 1.5}", &["daemon.yaml:1:31", "capacity.maxVCpuPerSession", "whole number"]),
        (
            "observability:\n  metricsPort: 70000\n",
            &["daemon.yaml:2:16", "observability.metricsPort", "65535", "70000"],
        ),
        (
            "projects:\n- repository: git@github.com:foo/bar.git\n",
            &["daemon.yaml:2:3", "`projects[0].id`", "missing", "`id: foo-bar`"],
        ),
        (
            "projects:\n- {id: x, repository: r}\n- id: '  '\n  repoUrl: o/n\n",
            &["daemon.yaml:3:7", "`projects[1].id`", "`id: o-n`"],
        ),
        ("projects:\n- id: a\n", &["daemon.yaml:2:3", "projects[0].repository", "missing"]),
        (
            "projects:\n- id: a\n  repository: ./a\n",
            &["daemon.yaml:3:15", "projects[0].repository", "relative path `./a`"],
        ),
        (
            "projects:\n- id: a\n  repository: --upload-pack=x\n",
            &["daemon.yaml:3:15", "projects[0].repository", "must not start with `-`"],
        ),
        ("projects:\n- id: \"a\\nb\"\n  repository: r\n", &["daemon.yaml:2:7", "projects[0].id", "control"]),
        (
            "projects:\n- id: a\n  repository: r\n  git:\n    sshKey: keys/a\n",
            &["daemon.yaml:5:13", "projects[0].git.sshKey", "relative path `keys/a`", "~/"],
        ),
        ("machine: {id: m}\norchestrator:\n  url: ftp://x\n", &["daemon.yaml:3:8", "orchestrator.url", "https://"]),
        ("orchestrator:\n  url: 'https://'\n", &["daemon.yaml:2:8", "orchestrator.url", "host"]),
        ("orchestrator:\n  authToken: x\n", &["daemon.yaml:2:3", "orchestrator.url", "https://"]),
        ("workarea: {archiveRoot: a}\n", &["daemon.yaml:1:25", "workarea.archiveRoot", "relative"]),
        ("kit:\n  scanPaths:\n  - /a\n  - b\n", &["daemon.yaml:4:5", "kit.scanPaths[1]", "relative"]),
        ("trust: {mode: paranoid}", &["daemon.yaml:1:15", "trust.mode", "permissive", "attested"]),
        ("trust:\n  issuerSet: [a, '']\n", &["daemon.yaml:2:18", "trust.issuerSet[1]", "empty"]),
        ("autoUpdate: {channel: nightly}", &["daemon.yaml:1:23", "autoUpdate.channel", "stable", "beta", "main"]),
        ("autoUpdate: {schedule: x}", &["daemon.yaml:1:24", "autoUpdate.schedule", "nightly", "on-release", "manual"]),
        ("control:\n  auth: nobody\n", &["daemon.yaml:2:9", "control.auth", "same-user"]),
        ("machine: {id: a}\nmachine: {id: b}\n", &["daemon.yaml:1:1", "duplicate", "`machine`"]),
    ];
    for (text, expected) in cases {
        let message = error_chain(&loaded(text, &[]).unwrap_err());
        for word in expected {
            assert!(message.contains(word), "{text:?}: {message:?} lacks {word}");
        }
        assert!(!message.contains(" at line "), "said twice: {message}");
    }
}

#[test]
fn config_errors_never_hold_the_token() {
    let text = "orchestrator:\n  url: nonsense\n  authToken: rsp_live_secret\n";
    assert!(!format!("{:?}", loaded(text, &[]).unwrap_err()).contains("rsp_live_secret"));
    let text = "orchestrator:\n  url: http://h\n  authToken: [rsp_live_secret]\n";
    assert!(!format!("{:?}", loaded(text, &[]).unwrap_err()).contains("rsp_live_secret"));
}

#[test]
fn config_files_of_any_size_and_kind_are_refused_not_swallowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    let fails = || load(&path, &BTreeMap::new(), &defaults()).unwrap_err();
    fs::write(&path, "#".repeat(usize::try_from(MAX_BYTES).unwrap() + 1)).unwrap();
    assert!(matches!(fails(), ConfigError::TooLarge { .. }));
    fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    assert!(matches!(fails(), ConfigError::Read { .. }));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(fails(), ConfigError::Read { .. }));
}

#[test]
fn config_merge_keys_are_honoured() {
    let text = "base: &git {sshKey: /k}\nprojects:\n- {id: a, repository: r, git: {<<: *git}}\n";
    assert_eq!(config(text).projects[0].git.ssh_key.as_deref(), Some("/k"));
    let wrong = loaded("a: <<\ncapacity: {poolMaxDiskGb: many}\n", &[]).unwrap_err().to_string();
    assert!(wrong.contains("daemon.yaml:2:27: capacity.poolMaxDiskGb"), "{wrong}");
}

#[test]
fn config_bombs_are_refused() {
    // Deep nesting below an unknown key, and a mistake to look up a place for.
    let deep = format!("unknown: {}{}\norchestrator: {{url: x}}\n", "[".repeat(10_000), "]".repeat(10_000));
    assert!(loaded(&deep, &[]).is_err());
    let mut aliases = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..30 {
        let before = level - 1;
        aliases += &format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n");
    }
    aliases += "orchestrator: {url: x}\n";
    assert!(loaded(&aliases, &[]).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        rng_seed: proptest::test_runner::RngSeed::Fixed(7734),
        ..proptest::test_runner::Config::default()
    })]

    #[test]
    fn config_any_text_is_understood_or_refused(
        text in "([a-z]{0,3}|machine|projects|capacity|[-:#'\"&*!|>%@`{}\\[\\], \n\t~<]){0,40}",
    ) {
        if let Err(error) = loaded(&text, &[]) {
            proptest::prop_assert!(error.to_string().starts_with("/x/daemon.yaml"));
        }
    }
}
