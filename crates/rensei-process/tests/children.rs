//! Real children: groups, signals, environment, output.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rensei_process::{
    End, GroupChild, ProcessGroup, ProcessIdentity, Signal, SpawnSpec, StopOutcome, env_values, find_by_env,
    output_log, spawn_group,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("output.log")
    }

    fn spec(&self, script: &str) -> SpawnSpec {
        SpawnSpec {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            env: BTreeMap::from([(OsString::from("PATH"), std::env::var_os("PATH").unwrap())]),
            cwd: self.dir.path().to_owned(),
            output: output_log::create(&self.log()).unwrap(),
        }
    }

    fn spawn(&self, script: &str) -> GroupChild {
        spawn_group(self.spec(script)).unwrap()
    }

    /// Waits until the child has created a file, which it does when it is ready.
    async fn ready(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        loop {
            match std::fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tick.tick().await,
            };
        }
    }
}

#[tokio::test]
async fn a_polite_child_is_terminated() {
    let fixture = Fixture::new();
    let mut child = fixture.spawn("echo up > ready; exec sleep 60");
    fixture.ready("ready").await;
    assert_eq!(child.group().members(), [child.pid()]);
    assert_eq!(child.group().stop(PATIENCE).await, StopOutcome::Terminated);
    assert_eq!(child.wait().await.unwrap(), End::Signaled(15));
    assert_eq!(child.wait().await.unwrap(), End::Signaled(15), "may be asked again");
    assert_eq!(child.group().stop(PATIENCE).await, StopOutcome::AlreadyGone);
    assert!(!child.group().signal(Signal::Terminate).unwrap());
}

#[tokio::test]
async fn a_child_that_ignores_term_is_killed_with_its_grandchildren() {
    let fixture = Fixture::new();
    let mut child =
        fixture.spawn("trap '' TERM; (sleep 60 & echo $! > grandchild; wait) & echo up > ready; wait; wait");
    fixture.ready("ready").await;
    let grandchild = ProcessIdentity::of(fixture.ready("grandchild").await.parse().unwrap()).unwrap();
    assert!(child.group().members().len() >= 3 && !child.group().is_empty());
    assert_eq!(child.group().stop(Duration::from_millis(50)).await, StopOutcome::Killed);
    assert_eq!(child.wait().await.unwrap(), End::Signaled(9));
    assert!(!grandchild.is_alive() && child.group().is_empty());
}

#[tokio::test]
async fn what_a_leader_leaves_behind_can_still_be_stopped() {
    let fixture = Fixture::new();
    let mut child = fixture.spawn("sleep 60 & echo $! > grandchild; exit 3");
    assert_eq!(child.wait().await.unwrap(), End::Exited(3));
    let grandchild = ProcessIdentity::of(fixture.ready("grandchild").await.parse().unwrap()).unwrap();
    assert!(grandchild.is_alive() && !child.identity().is_alive());
    assert_eq!(child.group().stop(PATIENCE).await, StopOutcome::Terminated);
    grandchild.wait_gone().await;
    assert!(child.group().is_empty());
}

#[tokio::test]
async fn a_stopped_child_can_be_terminated() {
    let fixture = Fixture::new();
    let mut child = fixture.spawn("echo up > ready; kill -STOP $$; sleep 60");
    fixture.ready("ready").await;
    assert_eq!(child.group().stop(PATIENCE).await, StopOutcome::Terminated);
    assert_eq!(child.wait().await.unwrap(), End::Signaled(15));
}

#[tokio::test]
async fn a_daemonised_descendant_is_found_by_its_environment() {
    let fixture = Fixture::new();
    let marker = format!("{}-{}", std::process::id(), fixture.dir.path().display());
    let mut spec = fixture.spec("(setsid sh -c 'echo $$ > daemon; exec sleep 60' &) ; exit 0");
    spec.env.insert("RENSEI_TEST_MARKER".into(), marker.clone().into());
    let mut child = spawn_group(spec).unwrap();
    assert!(child.wait().await.unwrap().success());
    let pid: u32 = fixture.ready("daemon").await.parse().unwrap();
    assert!(!child.group().members().contains(&pid), "it left the group");
    // Between two programs a process shows no environment for a moment.
    while find_by_env("RENSEI_TEST_MARKER", &marker).is_empty() {
        assert!(ProcessIdentity::of(pid).unwrap().is_alive());
        tokio::task::yield_now().await;
    }
    assert_eq!(find_by_env("RENSEI_TEST_MARKER", &marker), [pid]);
    assert!(env_values("RENSEI_TEST_MARKER").contains_key(&marker));
    assert!(find_by_env("RENSEI_TEST_MARKER", &marker[1..]).is_empty());
    let identity = ProcessIdentity::of(pid).unwrap();
    ProcessGroup::of_leader(pid).stop(PATIENCE).await;
    identity.wait_gone().await;
    assert!(find_by_env("RENSEI_TEST_MARKER", &marker).is_empty());
}

#[tokio::test]
async fn the_environment_is_exact_and_stdin_is_empty() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec("");
    spec.program = "env".into();
    spec.args.clear();
    spec.env.insert("ONLY".into(), "this\nthat=1".into());
    let path = spec.env[&OsString::from("PATH")].clone().into_string().unwrap();
    assert!(spawn_group(spec).unwrap().wait().await.unwrap().success());
    assert_eq!(std::fs::read_to_string(fixture.log()).unwrap(), format!("ONLY=this\nthat=1\nPATH={path}\n"));
    let mut reader = fixture.spawn("cat; pwd -P");
    assert!(reader.wait().await.unwrap().success());
    let expected = fixture.dir.path().canonicalize().unwrap();
    assert_eq!(output_log::tail_lines(&fixture.log(), 1, 500).unwrap(), [expected.to_str().unwrap()]);
}

#[tokio::test]
async fn output_of_any_size_arrives_whole_and_in_order() {
    let fixture = Fixture::new();
    let mut child = fixture.spawn("seq 1 500000; echo to stderr >&2; head -c 20000000 /dev/zero; echo; echo end");
    assert!(child.wait().await.unwrap().success());
    let content = std::fs::read(fixture.log()).unwrap();
    let numbers: String = (1..=500_000).map(|n| format!("{n}\n")).collect();
    assert!(content.starts_with(numbers.as_bytes()));
    assert_eq!(content.len(), numbers.len() + "to stderr\n".len() + 20_000_000 + "\nend\n".len());
    assert_eq!(output_log::tail_lines(&fixture.log(), 1, 100).unwrap(), ["end"]);
}

#[tokio::test]
async fn a_dropped_child_goes_on() {
    let fixture = Fixture::new();
    let child = fixture.spawn("echo up > ready; exec sleep 60");
    fixture.ready("ready").await;
    let identity = child.identity().clone();
    drop(child);
    assert!(identity.is_alive());
    ProcessGroup::of_leader(identity.pid).stop(PATIENCE).await;
    identity.wait_gone().await;
}

#[tokio::test]
async fn errors_name_what_is_missing() {
    let fixture = Fixture::new();
    let mut no_program = fixture.spec("");
    no_program.program = "rensei-no-such-program".into();
    let mut no_path = fixture.spec("");
    no_path.program = "/nonexistent/program".into();
    let mut no_dir = fixture.spec("");
    no_dir.cwd = Path::new("/nonexistent/dir").into();
    for (spec, named) in
        [(no_program, "rensei-no-such-program"), (no_path, "/nonexistent/program"), (no_dir, "/nonexistent/dir")]
    {
        let error = spawn_group(spec).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn without_a_runtime_nothing_is_started() {
    let fixture = Fixture::new();
    assert!(spawn_group(fixture.spec("echo up > ready")).is_err());
    assert_eq!(std::fs::read(fixture.log()).unwrap(), b"");
}

#[test]
fn nobody_but_children_is_ever_signalled() {
    let own = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
    for pid in [0, 1, own, u32::MAX] {
        assert!(ProcessGroup::of_leader(pid).signal(Signal::Kill).is_err(), "{pid}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_and_what_it_starts_give_way() {
    let fixture = Fixture::new();
    let child =
        fixture.spawn("sleep 60 & echo > early; until [ -e go ]; do sleep 0.01; done; sleep 60 & echo > late; wait");
    fixture.ready("early").await;
    child.group().give_way().unwrap();
    std::fs::write(fixture.dir.path().join("go"), "").unwrap();
    fixture.ready("late").await;
    let read = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let nice = |pid| read(pid, "stat").rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
    let members = child.group().members();
    assert_eq!(members.iter().map(|pid| nice(*pid)).collect::<Vec<_>>(), vec!["5"; members.len()]);
    // On a busy machine the first one may have been started before its parent could be marked.
    let marked = members.iter().filter(|pid| read(**pid, "oom_score_adj").trim() == "500").count();
    assert!(members.len() >= 3 && marked >= members.len() - 1, "{marked} of {}", members.len());
    child.group().signal(Signal::Kill).unwrap();
    assert!(ProcessGroup::of_leader(0).give_way().is_err() && ProcessGroup::of_leader(u32::MAX).give_way().is_err());
}
