//! `--json` prints what the API answers, for every command that has it.

use crate::kits::repositories;
use crate::studio::Studio;
use crate::world::until;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// What no route answers: what these print is their own.
const OWN: [&str; 5] = ["demo", "host doctor", "host update", "kit detect", "platform init"];
/// What a control plane answers, not the host; `session list`, `show` and `stop` can ask either.
const PLATFORM: [&str; 1] = ["session create"];

/// What changes between two answers.
const TIMES: [&str; 5] = ["timestamp", "uptimeSeconds", "capturedAt", "lastSeenAt", "ageSeconds"];

/// One request; the document that it is answered with.
fn ask(url: &str, request: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let head = "Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{request} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 2"), "{request}: {answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{request}: {error}: {answer}"))
}

/// `document` without what changes from one moment to the next.
fn still(mut document: Value) -> Value {
    match &mut document {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = still(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = still(item.take())),
        _ => {}
    }
    document
}

/// Names and types, where a second answer is about something new.
fn outline(document: &Value) -> Value {
    match document {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), outline(value))).collect(),
        Value::Array(items) => items.first().map(outline).into_iter().collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

/// Commands of the reference that have `--json`.
fn documented() -> BTreeSet<String> {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let (mut command, mut found) = (String::new(), BTreeSet::new());
    for line in std::fs::read_to_string(reference).unwrap().lines() {
        if let Some(name) = line.trim_start_matches('#').strip_prefix(" rensei ").filter(|_| line.starts_with('#')) {
            name.clone_into(&mut command);
        } else if line.starts_with("| `--json`") {
            found.insert(command.clone());
        }
    }
    found
}

/// Commands, and the request that answers the same: by what it says, or only by its shape.
fn commands(archives: &[String], kits: &str) -> Vec<(&'static str, Vec<String>, String, String, bool)> {
    let (one, other) = (&archives[0], &archives[1]);
    let install = format!(r#"{{"source":{{"kind":"git","url":"{kits}"}}}}"#);
    let row = |name: &'static str, rest: &[&str], request: &str, body: &str, same: bool| {
        let rest = rest.iter().map(|word| (*word).to_owned()).collect();
        (name, rest, request.replace(' ', " /api/daemon/"), body.to_owned(), same)
    };
    let prune = format!(r#"{{"ids":["{one}"],"dryRun":true}}"#);
    let run = ["--repository", "alpha", "--command", "sleep 60", "--detach"];
    let spec = r#"{"sessionId":"posted","repository":"alpha"}"#;
    vec![
        row("kit install", &["team/rust", "--git", kits], "POST kits/team/rust/install", &install, true),
        row("host status", &[], "GET status", "", true),
        row("host stats", &[], "GET stats", "", true),
        row("host stats", &["--pool", "--by-machine"], "GET stats?pool=true&byMachine=true", "", true),
        row("capacity status", &[], "GET stats", "", true),
        row("host sessions", &[], "GET sessions", "", true),
        row("host sessions", &["--all"], "GET sessions?all=true", "", true),
        row("session list", &[], "GET sessions?all=true", "", true),
        row("session show", &["bad"], "GET sessions/bad/record", "", true),
        row("session stop", &["bad"], "POST sessions/bad/stop", "", true),
        row("provider list", &[], "GET providers", "", true),
        row("provider show", &["shell"], "GET providers/shell", "", true),
        row("kit list", &[], "GET kits", "", true),
        row("kit show", &["team/rust"], "GET kits/team/rust", "", true),
        row("kit verify", &["team/rust"], "GET kits/team/rust/verify-signature", "", true),
        row("kit disable", &["team/rust"], "POST kits/team/rust/disable", "", true),
        row("kit enable", &["team/rust"], "POST kits/team/rust/enable", "", true),
        row("kit sources list", &[], "GET kit-sources", "", true),
        row("kit sources disable", &["tessl"], "POST kit-sources/tessl/disable", "", true),
        row("kit sources enable", &["tessl"], "POST kit-sources/tessl/enable", "", true),
        row("routing show", &[], "GET routing/config", "", true),
        row("routing explain", &["bad"], "GET routing/explain/bad", "", true),
        row("workarea list", &[], "GET workareas", "", true),
        row("workarea show", &[one], &format!("GET workareas/{one}"), "", true),
        row("workarea diff", &[one, other], &format!("GET workareas/{one}/diff/{other}"), "", true),
        row("workarea prune", &[one, "--dry-run"], "POST archives/prune", &prune, true),
        row("workarea restore", &[one], &format!("POST workareas/{one}/restore"), "", false),
        row("workarea archive", &["live"], "POST sessions/live/archive", "", false),
        row("host evict", &["--repo", "alpha"], "POST pool/evict", r#"{"repoUrl":"alpha"}"#, true),
        row(
            "host set",
            &["capacity.maxConcurrentSessions", "6"],
            "POST capacity",
            r#"{"key":"capacity.maxConcurrentSessions","value":"6"}"#,
            true,
        ),
        row(
            "capacity set",
            &["capacity.poolMaxDiskGb", "9"],
            "POST capacity",
            r#"{"key":"capacity.poolMaxDiskGb","value":"9"}"#,
            true,
        ),
        row("session run", &run, "POST sessions", spec, false),
    ]
}

#[test]
fn every_json_document_is_what_the_api_answers() {
    let (studio, _host) = Studio::with_daemon();
    let (kits, _project) = repositories(&studio.world);
    for (id, command) in [("worse", "echo x > out.txt; exit 4"), ("bad", "echo oops; exit 3")] {
        studio.post(id, "Fail on purpose", command);
        studio.wait(id, &["failed"]);
    }
    studio.post("live", "Go on", "sleep 1000");
    studio.wait("live", &["running"]);
    let mut archives = Vec::new();
    until("both are archived", || {
        let rows = ask(&studio.url, "GET /api/daemon/workareas", "")["archived"].take();
        archives = rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        archives.len() == 2
    });
    let mut seen: BTreeSet<String> = OWN.iter().chain(&PLATFORM).map(|name| (*name).to_owned()).collect();
    for (name, rest, request, body, same) in commands(&archives, &kits) {
        let words: Vec<&str> = name.split(' ').chain(rest.iter().map(String::as_str)).collect();
        let printed = studio.json(&words);
        let answered = ask(&studio.url, &request, &body);
        if same {
            assert_eq!(still(printed), still(answered), "rensei {name} {rest:?}");
        } else {
            assert_eq!(outline(&printed), outline(&answered), "rensei {name} {rest:?}");
        }
        seen.insert(name.to_owned());
    }
    assert_eq!(seen, documented(), "every command with --json is compared, or has a document of its own");
}
