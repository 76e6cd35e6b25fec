//! What every command looks like: with nothing to show, with something, and when it fails; wide and narrow, plain and
//! coloured. `INSTA_UPDATE=always cargo nextest run -p rensei-cli snapshots` writes the files anew.

use crate::world::{Running, World, finish, until};
use regex_lite::Regex;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// Widths of a roomy terminal and of a narrow one.
const WIDE: &str = "160";
const NARROW: &str = "44";

/// One world whose commands are looked at.
pub(crate) struct Studio {
    pub(crate) world: World,
    /// Control API that the commands ask.
    url: String,
    /// Directory of the programs that there are, so that what else is installed on this machine does not show.
    programs: PathBuf,
}

impl Studio {
    /// Nothing listens.
    fn without_daemon() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World::new();
        Self { programs: programs(&world), world, url }
    }

    /// A daemon with one project.
    pub(crate) fn with_daemon() -> (Self, Running) {
        let world = World::new();
        let programs = programs(&world);
        world.configure(&world.repository(), "");
        let mut command = world.command(&["host", "run", "--port", "0"]);
        command.env("PATH", &programs);
        let mut host = world.launch(command);
        let url = format!("http://{}", host.line("[daemon] http listening on "));
        host.line("[daemon] state -> running");
        (Self { world, url, programs }, host)
    }

    /// Compares what a command prints with `<name>--<state>.snap`, where the name is the command's.
    pub(crate) fn shot(&self, state: &str, args: &[&str]) {
        let wide = self.print(args, WIDE, "never");
        let mut text = format!("$ rensei {}\n{wide}", self.masked(&args.join(" ")));
        let narrow = self.print(args, NARROW, "never");
        if narrow != wide {
            text.push_str(&format!("\n=== narrow\n{narrow}"));
        }
        let coloured = self.print(args, WIDE, "always");
        assert_eq!(without_colour(&coloured), wide, "colour changes more than colour");
        if coloured != wide {
            text.push_str(&format!("\n=== coloured\n{}", coloured.replace('\u{1b}', "\\e")));
        }
        compare(state, args, &text);
    }

    /// As [`shot`](Self::shot), for what can be done once only.
    pub(crate) fn shot_once(&self, state: &str, args: &[&str]) {
        compare(
            state,
            args,
            &format!("$ rensei {}\n{}", self.masked(&args.join(" ")), self.print(args, WIDE, "never")),
        );
    }

    fn print(&self, args: &[&str], columns: &str, color: &str) -> String {
        let mut command = self.world.command(args);
        command.args(["--color", color]).env("COLUMNS", columns).env("RENSEI_DAEMON_URL", &self.url);
        command.env("PATH", &self.programs);
        let done = finish(command);
        if done.code != Some(0) && !done.stderr.is_empty() {
            let plain = without_colour(&done.stderr);
            let says_what_next = plain.contains("hint: ") || plain.contains("--help");
            assert!(says_what_next, "{args:?} fails without a next step: {}", done.stderr);
        }
        let stream = |name: &str, text: &str| match text {
            "" => String::new(),
            text => format!("--- {name}\n{}", self.masked(text)),
        };
        format!("[exit {}]\n{}{}", done.code.unwrap(), stream("stdout", &done.stdout), stream("stderr", &done.stderr))
    }

    /// `text` without what differs from run to run.
    fn masked(&self, text: &str) -> String {
        let program = env!("CARGO_BIN_EXE_rensei");
        let text = text.replace(program, "[rensei]").replace(self.world.path().to_str().unwrap(), "[world]");
        MASKS
            .iter()
            .fold(text, |text, (pattern, mask)| Regex::new(pattern).unwrap().replace_all(&text, *mask).into_owned())
    }

    /// Posts a session of the shell runtime under a known id.
    pub(crate) fn post(&self, id: &str, title: &str, command: &str) {
        let profile = json!({"provider": "shell", "providerConfig": {"command": command}});
        let body =
            json!({"sessionId": id, "repository": "alpha", "ref": "main", "title": title, "resolvedProfile": profile});
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        let head = format!("Host: 127.0.0.1\r\nContent-Length: {}\r\nConnection: close", body.len());
        write!(stream, "POST /api/daemon/sessions HTTP/1.1\r\n{head}\r\nContent-Type: application/json\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    /// What a command answers as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut command = self.world.command(args);
        command.arg("--json").env("RENSEI_DAEMON_URL", &self.url);
        finish(command).exits(0).json()
    }

    /// Waits until a session is in one of these states.
    pub(crate) fn wait(&self, id: &str, states: &[&str]) {
        until(&format!("{id} is {states:?}"), || {
            let view = self.json(&["session", "show", id]);
            states.contains(&view["state"].as_str().unwrap())
        });
    }
}

/// A directory with what a session needs.
fn programs(world: &World) -> PathBuf {
    let dir = world.path().join("bin");
    std::fs::create_dir(&dir).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in ["git", "sh", "sleep"] {
        let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()).unwrap();
        std::os::unix::fs::symlink(found, dir.join(name)).unwrap();
    }
    dir
}

fn compare(state: &str, args: &[&str], text: &str) {
    let words: Vec<&str> = args.iter().copied().take_while(|word| word.chars().all(is_word)).collect();
    let depth = match words[..] {
        ["demo" | "completions" | "man", ..] => 1,
        _ => 2,
    };
    let name = words[..depth.min(words.len())].join("-");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("{name}--{state}"), text);
    });
}

fn is_word(c: char) -> bool {
    c.is_ascii_lowercase() || c == '-'
}

/// What differs from run to run, and what stands for it. Spaces behind a value pad its column.
const MASKS: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"\b\d{8}T\d{6}Z(-restore-\d+)?", "[stamp]$1"),
    (r"-restore-\d+", "-restore-[ns]"),
    (r"\b\d{4}\.\.\d{8}\b", "[year]..[end]"),
    // What is below .git depends on ids of objects.
    (r"(Size|Entries): +[0-9.]+( K?i?B)?", "$1: [n]"),
    (r"\d+ paths below \.git not shown\n[^\n]* total", "[n] paths below .git not shown\n[counts]"),
    (r"(ses-\S+  |workareas?, )[0-9.]+ K?i?B\b", "$1[n]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
    (r"(just now|\d+[smhd] ago) *", "[ago] "),
    (r"Uptime: ( +)\S+", "Uptime: $1[uptime]"),
    (r#""uptimeSeconds": \d+"#, r#""uptimeSeconds": [n]"#),
    (r"(UPTIME\n.*  )\S+", "$1[uptime]"),
    (r#""pid": \d+"#, r#""pid": [pid]"#),
    (r"PID: ( +)\d+", "PID: $1[pid]"),
    (r"pid \d+", "pid [pid]"),
    // Before process ids, which are numbers behind a state, too.
    (r"\b\d+(\.\d+)? m?s\b *", "[span] "),
    ("(running(?:\u{1b}\\[[0-9;]*m| )+)\\d+ +", "${1}[pid] "),
    ("PID +ACCEPTED", "PID   ACCEPTED"),
    ("AGE +PROJECT", "AGE    PROJECT"),
    ("START +CHOSEN", "START  CHOSEN"),
    (r"\b[0-9a-f]{40}\b", "[commit]"),
    // Scores depend on how long things took.
    (r"\b\d\.\d{3}\b", "[score]"),
    (r"\b1[6-9]\d{11}\b", "[ms]"),
    (r"git version [0-9.]+", "git version [n]"),
    // How full this machine's disk is decides on a line, its fix and the summary.
    (r"\n[^\n]*  (disk|inodes) [^\n]*(\n[^\n]*fix: make room[^\n]*)?", ""),
    (r"\d+ problems?(, \d+ warnings?)?|healthy(, with \d+ warnings?)?", "[summary]"),
    (env!("CARGO_PKG_VERSION"), "[version]"),
];

fn without_colour(text: &str) -> String {
    Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(text, "").replace('✓', "OK")
}

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
    ] {
        studio.shot("error", args);
    }
    studio.shot("empty", &["host", "stop"]);
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
    studio.shot("failed", &["session", "show", "ses-2"]);
    studio.shot("json", &["host", "status", "--json"]);
    studio.shot("json", &["host", "stats", "--json"]);
    studio.shot("by-machine", &["host", "stats", "--by-machine"]);
    studio.shot("all", &["host", "sessions", "--all"]);
    studio.shot("json", &["host", "sessions", "--json"]);
    studio.shot_once("normal", &["session", "stop", "ses-3"]);
    studio.wait("ses-3", &["terminated"]);
    studio.shot("ended", &["session", "stop", "ses-3"]);
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

/// Commands whose pages are compared elsewhere, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    ("kit list", "kits.rs"),
    ("kit show", "kits.rs"),
    ("kit detect", "kits.rs"),
    ("kit verify", "kits.rs"),
    ("kit install", "kits.rs"),
    ("kit enable", "kits.rs"),
    ("kit disable", "kits.rs"),
    ("kit sources list", "kits.rs"),
    ("kit sources enable", "kits.rs"),
    ("kit sources disable", "kits.rs"),
];

#[test]
fn every_command_has_snapshots() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(here.join("../../docs/cli.md")).unwrap();
    let files: Vec<String> = std::fs::read_dir(here.join("tests/cli/snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut without: Vec<&str> = Vec::new();
    let headings = reference.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(" rensei "));
    let nouns: Vec<&str> =
        headings.clone().filter_map(|command| command.rsplit_once(' ')).map(|(noun, _)| noun).collect();
    for command in headings.filter(|command| !nouns.contains(command)) {
        let prefix = format!("{}--", command.replace(' ', "-"));
        let is_shown = files.iter().any(|file| file.starts_with(&prefix) && file.ends_with(".snap"));
        if !is_shown && !ELSEWHERE.iter().any(|(other, _place)| *other == command) {
            without.push(command);
        }
    }
    // Reported by a command that was just added: `RENSEI_UPDATE_DOCS=1` and a case above.
    assert!(without.is_empty(), "commands without a snapshot: {without:?}");
}
