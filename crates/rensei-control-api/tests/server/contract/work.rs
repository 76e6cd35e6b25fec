//! A host that has everything there is to show.

use crate::fixture::{PATIENCE, Reply, Server};
use crate::routing::Registry;
use crate::update::Updater;
use rensei_testkit::{Answer, Call, FakePlatform, REGISTRATION_TOKEN, Signing, Sigstore};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const KIT: &str = include_str!("../../../../rensei-kits/tests/fixtures/every-table.kit.toml");

/// A registered host with a pool, kits, archives, and sessions in all states. `polled` runs, `bad` has failed.
pub(super) struct AtWork {
    pub(super) server: Server,
    /// Answer to the worker of `polled` that asked for its workarea.
    pub(super) acquired: Reply,
    /// The heartbeat before any was heard.
    pub(super) first_heartbeat: Reply,
    /// The archive that `bad` has left. Beside it there are `small`, and `other` with a file more.
    pub(super) archive: String,
    /// Body that evicts the workareas of the project.
    pub(super) eviction: String,
    files: TempDir,
    _platform: FakePlatform,
}

impl AtWork {
    pub(super) async fn start() -> Self {
        let (files, platform) = (tempfile::tempdir().unwrap(), FakePlatform::start().await);
        platform.cadence(20, 20);
        // Until one is heard, heartbeats say everything.
        platform.always(Call::Heartbeat, Answer::json(500, "{}"));
        let (repository, kits) = (files.path().join("app"), files.path().join("kits"));
        commit(&repository, &[("README", "hello\n")]);
        let whole = KIT.split_once("\n[files]").expect("digests of its files, at the end").0;
        let bundle = Sigstore::default().sign(whole.as_bytes(), &Signing::default()).to_string();
        let mut kit = vec![("whole.kit.toml", whole), ("whole.kit.toml.sigstore", bundle.as_str())];
        kit.extend(whole.lines().filter_map(|line| {
            Some((
                ["file = \"", "template = \""].iter().find_map(|key| line.strip_prefix(key))?.strip_suffix('"')?,
                "x",
            ))
        }));
        commit(&kits, &kit);
        let root = files.path().join("root.json");
        std::fs::write(&root, Sigstore::default().trusted_root()).unwrap();
        let config = format!(
            "machine: {{id: test, region: here}}\nprojects:\n- {{id: app, repository: \"{}\"}}\n\
             workarea: {{diffStreamingThreshold: 4}}\ntrust: {{rootPath: \"{}\"}}\n\
             orchestrator: {{url: \"{}\", authToken: {REGISTRATION_TOKEN}}}\n",
            repository.display(),
            root.display(),
            platform.url()
        );
        platform.enqueue_raw(polled().to_string());
        let server = Server::with(&config, |builder| {
            builder.provider_registry(Registry).update_hook(PATIENCE, Updater::Nothing)
        })
        .await;
        platform.until_count(Call::Heartbeat, 2).await;
        let first_heartbeat = server.get("/api/daemon/heartbeat").await;
        platform.heal();
        let eviction = json!({"repoUrl": repository, "olderThanSeconds": 0}).to_string();
        let mut host = Self {
            acquired: Reply::parse(b"HTTP/1.1 0 none\r\n\r\n"),
            first_heartbeat,
            archive: String::new(),
            server,
            eviction,
            files,
            _platform: platform,
        };
        host.fill().await;
        host
    }

    async fn fill(&mut self) {
        let installed = self.server.post("/api/daemon/kits/team/whole/install", &self.kit_source()).await;
        assert_eq!(installed.status, 200, "{installed:?}");
        let script = format!("{TOKEN}; until [ -e go ]; do sleep 0.01; done; echo oops; exit 3");
        let post = json!({"sessionId": "bad", "repository": "app", "ref": "main", "env": {"SCRIPT": script}});
        assert_eq!(self.server.post("/api/daemon/sessions", &post.to_string()).await.status, 202);
        assert_eq!(self.acquire("bad").await.status, 200);
        std::fs::write(self.server.root().join("sessions/bad/go"), "").unwrap();
        self.archive = self.until(|lists| lists["archived"][0]["id"].as_str().map(str::to_owned)).await;
        self.acquired = self.acquire("polled").await;
        let known = self.server.root().join("workareas").join(&self.archive).join("manifest.json");
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(known).unwrap()).unwrap();
        for (id, files) in [("small", 1), ("other", 2)] {
            let dir = self.server.root().join("workareas").join(id);
            std::fs::create_dir_all(dir.join("tree")).unwrap();
            let mut manifest = manifest.clone();
            manifest["id"] = json!(id);
            manifest["toolchain"] = json!({"node": "22"});
            manifest["sourceProvider"] = json!("local");
            std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
            std::fs::write(dir.join("tree/README"), format!("{id}\n")).unwrap();
            (0..files).for_each(|n| std::fs::write(dir.join(format!("tree/{n}")), "new\n").unwrap());
        }
    }

    /// What `look` finds in the lists of workareas.
    async fn until<T>(&self, look: impl Fn(&serde_json::Value) -> Option<T>) -> T {
        let looking = async {
            loop {
                match look(&self.server.get("/api/daemon/workareas").await.json()) {
                    Some(found) => return found,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap()
    }

    /// The token by which the worker of a session is known.
    async fn bearer(&self, id: &str) -> String {
        let file = self.server.root().join("sessions").join(id).join("token");
        let waiting = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        format!("authorization: Bearer {}", std::fs::read_to_string(file).unwrap().trim())
    }

    async fn acquire(&self, id: &str) -> Reply {
        let bearer = self.bearer(id).await;
        self.server.call(&format!("POST /api/daemon/sessions/{id}/workarea"), &[&bearer], "").await
    }

    /// What the worker of `polled` is told of its session.
    pub(super) async fn detail(&self) -> Reply {
        let bearer = self.bearer("polled").await;
        self.server.call("GET /api/daemon/sessions/polled", &[&bearer], "").await
    }

    /// Body that installs the kit.
    pub(super) fn kit_source(&self) -> String {
        let url = format!("file://{}", self.files.path().join("kits").display());
        json!({"source": {"kind": "git", "url": url, "ref": "main", "manifestPath": "whole.kit.toml"}}).to_string()
    }
}

/// A script that leaves the worker's token where the test finds it, as a whole.
const TOKEN: &str = "echo $RENSEI_SESSION_TOKEN > .token && mv .token token";

/// Work from a control plane, with everything that may be said of a session.
fn polled() -> serde_json::Value {
    json!({
        "sessionId": "polled", "attempt": 1, "repository": "app", "ref": "main", "branch": "work", "title": "t",
        "body": "b", "env": {"SCRIPT": format!("{TOKEN}; sleep 60")}, "issueId": "i", "issueIdentifier": "A-1",
        "linearSessionId": "l", "providerSessionId": "p", "projectName": "app", "organizationId": "o",
        "workType": "development", "promptContext": "c", "mentionContext": "m", "parentContext": "pc",
        "resolvedProfile": {"provider": "shell", "runner": "go", "model": "m", "effort": "high", "credentialId": "c",
            "providerConfig": {"command": "true"}},
        "modelProfile": {"id": "mp", "providerId": "shell", "model": "m", "mode": "high", "context": 1,
            "maxOutputTokens": 1},
        "stagePrompt": "sp", "stageId": "s", "stageSourceEventId": "e", "stageLifecycle": {"a": 1},
        "stageBudget": {"maxDurationSeconds": 600, "maxSubAgents": 1, "maxTokens": 1},
    })
}

/// A repository with these files.
fn commit(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.join(name), content).unwrap();
    }
    for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "first"]] {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args).current_dir(dir);
        assert!(command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap().status.success(), "git {args:?}");
    }
}
