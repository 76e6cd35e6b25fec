//! What commands print, kept as files: wide and narrow, plain and coloured.

use crate::world::{Done, Running, World, finish, until};
use regex_lite::Regex;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Widths of a roomy terminal and of a narrow one.
const WIDE: &str = "160";
const NARROW: &str = "44";

/// One world whose commands are looked at.
pub(crate) struct Studio {
    pub(crate) world: World,
    /// Control API that the commands ask.
    pub(crate) url: String,
    /// What else the commands find in their environment.
    pub(crate) env: Vec<(String, String)>,
    /// Directory of the programs that there are, so that what else is installed on this machine does not show.
    programs: PathBuf,
}

impl Studio {
    /// Nothing listens.
    pub(crate) fn without_daemon() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World::new();
        Self { programs: programs(&world), world, url, env: Vec::new() }
    }

    /// A daemon with one project.
    pub(crate) fn with_daemon() -> (Self, Running) {
        Self::with_worker(&[])
    }

    /// The same with further flags of `host run`.
    pub(crate) fn with_worker(flags: &[&str]) -> (Self, Running) {
        let world = World::new();
        let programs = programs(&world);
        world.configure(&world.repository(), "");
        let mut command = world.command(&[&["host", "run", "--port", "0"], flags].concat());
        command.env("PATH", &programs);
        let mut host = world.launch(command);
        let url = format!("http://{}", host.line("[daemon] http listening on "));
        host.line("[daemon] state -> running");
        (Self { world, url, programs, env: Vec::new() }, host)
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
        // Signs stand for the colour of headings.
        let signless = wide.replace("=== ", "").replace(" ===", "");
        assert_eq!(without_colour(&coloured), signless, "colour changes more than colour");
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

    /// As [`shot_once`](Self::shot_once), for a server: stopped when stdout has `ready` in it.
    pub(crate) fn shot_server(&self, state: &str, args: &[&str], ready: &str) {
        let path = self.world.path().join("server-stdout");
        let mut command = self.command(args, WIDE, "never");
        command.stdout(File::create(&path).unwrap()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let printed = || std::fs::read_to_string(&path).unwrap();
        until(ready, || printed().contains(ready));
        let pid = Pid::from_child(&server);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let code = server.wait().unwrap().code().unwrap();
        let text = self.masked(&printed());
        compare(state, args, &format!("$ rensei {}\n[exit {code}]\n--- stdout\n{text}", self.masked(&args.join(" "))));
    }

    fn command(&self, args: &[&str], columns: &str, color: &str) -> Command {
        let mut command = self.world.command(args);
        command.args(["--color", color]).env("COLUMNS", columns).env("RENSEI_DAEMON_URL", &self.url);
        command.env("PATH", &self.programs).envs(self.env.iter().cloned());
        command
    }

    fn print(&self, args: &[&str], columns: &str, color: &str) -> String {
        let done = finish(self.command(args, columns, color));
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

    /// What a command prints in the environment of the others.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        finish(self.command(args, WIDE, "never"))
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
        self.run(&[args, &["--json"]].concat()).exits(0).json()
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
    for name in ["git", "sh", "sleep", "cat", "wc", "tr", "env", "mv"] {
        let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()).unwrap();
        std::os::unix::fs::symlink(found, dir.join(name)).unwrap();
    }
    dir
}

fn compare(state: &str, args: &[&str], text: &str) {
    let words: Vec<&str> = args.iter().copied().take_while(|word| word.chars().all(is_word)).collect();
    let depth = match words[..] {
        ["demo" | "completions" | "man", ..] => 1,
        ["kit", "sources", ..] => 3,
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
    (r"\d+ paths below \.git not shown\nadded: [^\n]*", "[n] paths below .git not shown\n[counts]"),
    (r"(ses-\S+  |workareas?, )[0-9.]+ K?i?B\b", "$1[n]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
    (r"(just now|\d+[smhd] ago) *", "[ago] "),
    (r"Uptime: ( +)\S+", "Uptime: $1[uptime]"),
    (r#""uptimeSeconds": \d+"#, r#""uptimeSeconds": [n]"#),
    (r"(UPTIME\n.*  )\S+", "$1[uptime]"),
    (r#""pid": \d+"#, r#""pid": [pid]"#),
    (r"PID: ( +)\d+", "PID: $1[pid]"),
    (r"(pid|process|-p) \d+", "${1} [pid]"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[id]"),
    (r"\b(wkr|wak)_[0-9a-f]+", "${1}_[id]"),
    (r"workarea( +)at [0-9a-f]{12} ", "workarea${1}at [commit] "),
    (r"committed( +)[0-9a-f]{12}:", "committed${1}[commit]:"),
    (r"0000000\.\.[0-9a-f]{7}", "0000000..[blob]"),
    (r#"machine:\n    id: "[^"]+""#, "machine:\n    id: [host]"),
    // Before process ids, which are numbers behind a state, too.
    (r"\b\d+(\.\d+)? m?s\b *", "[span] "),
    ("(running(?:\u{1b}\\[[0-9;]*m| )+)\\d+ +", "${1}[pid] "),
    ("PID +ACCEPTED", "PID   ACCEPTED"),
    // States that last no longer than a blink are not always seen.
    (r"\[daemon\] state -> (draining|stopping)\n", ""),
    ("REPO +TOOLCHAIN", "REPO  TOOLCHAIN"),
    (r"(main +)(-|\d+[smhd])( +|\n)", "$1[age]$3"),
    (r"\[age\] +", "[age]  "),
    (r"\b[0-9a-f]{40}\b", "[commit]"),
    (r"\b(rsp|rsk)_live_[A-Za-z0-9_-]+", "[token]"),
    // Scores depend on how long things took.
    (r"\b\d\.\d{3}\b", "[score]"),
    (r"(  local .*  -  +)[0-9.]+\n", "$1[n]\n"),
    (r"\b\d\d:\d\d:\d\d  ", "[clock]  "),
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
