//! Kits and their sources: statuses, bodies, and the client's view of them.

use super::fixture::{CONFIG, Server};
use rensei_control_api::ControlClient;
use rensei_proto::control::{KitInstallRequest, KitInstallSource, KitTrust};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const KIT: &str = "[kit]\nid = \"spring/java\"\nversion = \"1.0.0\"\nname = \"Java\"\nauthorIdentity = \"did:web:x\"\n\
                   [detect]\nfiles = [\"pom.xml\"]\n[detect.toolchain]\njava = \"21\"\n[provide.commands]\ntest = \"mvn test\"\n\
                   [composition]\norder = \"foundation\"\n";

fn git(dir: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args).current_dir(dir);
    assert!(command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap().status.success(), "git {args:?}");
}

/// A repository with the kit, and its URL.
fn repository() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "main"]);
    std::fs::write(dir.path().join("java.kit.toml"), KIT).unwrap();
    git(dir.path(), &["add", "."]);
    git(dir.path(), &["commit", "-q", "-m", "x"]);
    let url = format!("file://{}", dir.path().display());
    (dir, url)
}

fn from_git(url: &str) -> Value {
    json!({"source": {"kind": "git", "url": url}})
}

async fn server(trust: &str) -> Server {
    Server::with(&format!("{CONFIG}{trust}"), |builder| builder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_kit() {
    let server = server("").await;
    let (_dir, url) = repository();
    assert_eq!(server.get("/api/daemon/kits").await.json(), json!({"kits": []}));
    let installed = server.post("/api/daemon/kits/spring/java/install", &from_git(&url).to_string()).await;
    assert_eq!(installed.status, 200, "{installed:?}");
    let installed = installed.json();
    assert_eq!(installed["message"], "kit installed from git source");
    assert!(server.root().join("kits/spring__java.kit.toml").is_file());

    let listed = &server.get("/api/daemon/kits").await.json()["kits"][0];
    for (field, value) in [
        ("id", json!("spring/java")),
        ("version", json!("1.0.0")),
        ("status", json!("active")),
        ("source", json!("local")),
        ("scope", json!("project")),
        ("trust", json!("unsigned")),
        ("authorId", json!("did:web:x")),
        ("signerId", json!("did:web:x")),
        ("detectFiles", json!(["pom.xml"])),
        ("providesCommands", json!(true)),
        ("providesPrompts", json!(false)),
    ] {
        assert_eq!(listed[field], value, "{field}");
        assert_eq!(installed["kit"][field], value, "{field} of the installation");
    }
    assert!(listed.get("homepage").is_none() && listed.get("priority").is_none(), "empty fields are left out");
    for path in ["spring/java", "spring%2Fjava", "spring/java/"] {
        let kit = &server.get(&format!("/api/daemon/kits/{path}")).await.json()["kit"];
        assert_eq!((&kit["commands"], &kit["order"]), (&json!({"test": "mvn test"}), &json!("foundation")), "{path}");
        assert_eq!(kit["detectToolchain"], json!({"java": "21"}));
    }
    for path in ["spring/java/install", "spring/java%2Finstall"] {
        let refused = server.get(&format!("/api/daemon/kits/{path}")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("post")), "{path}");
    }
    let signature = server.get("/api/daemon/kits/spring/java/verify-signature").await.json();
    assert_eq!((&signature["trust"], &signature["ok"]), (&json!("unsigned"), &json!(true)));
    assert_eq!(signature["details"], "no sibling bundle");
    for (action, status) in [("disable", "disabled"), ("disable", "disabled"), ("enable", "active")] {
        let switched = server.post(&format!("/api/daemon/kits/spring/java/{action}"), "").await;
        assert_eq!((switched.status, &switched.json()["status"]), (200, &json!(status)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_status_and_body() {
    let server = server("trust: {mode: signed-by-allowlist}\n").await;
    let (_dir, url) = repository();
    let install = async |id: &str, body: &str| {
        let reply = server.post(&format!("/api/daemon/kits/{id}/install"), body).await;
        (reply.status, reply.json())
    };
    let kind = |kind: &str| json!({"source": {"kind": kind, "url": "x"}}).to_string();
    for (id, body, status, fields) in [
        ("a", "{".to_owned(), 400, json!({})),
        ("a", kind("svn"), 400, json!({})),
        ("%2e%2e/x", from_git(&url).to_string(), 400, json!({})),
        ("a%00b", from_git(&url).to_string(), 400, json!({})),
        ("a%5Cb", from_git(&url).to_string(), 400, json!({})),
        ("spring/java", from_git(&url).to_string(), 403, json!({"kitId": "spring/java", "trust": "unsigned"})),
        ("other", from_git(&url).to_string(), 422, json!({"kitId": "other"})),
        ("a", "{}".to_owned(), 501, json!({"kitId": "a"})),
        ("a", String::new(), 501, json!({"kitId": "a"})),
        ("a", r#"{"version":"1"}"#.to_owned(), 501, json!({"kitId": "a"})),
        ("a", kind("tessl"), 501, json!({"kitId": "a", "kind": "tessl"})),
        ("a", from_git("").to_string(), 502, json!({"kitId": "a", "source": ""})),
        ("a", from_git("file:///no/such").to_string(), 502, json!({"kitId": "a", "source": "file:///no/such"})),
        ("a", from_git("ext::sh").to_string(), 502, json!({"kitId": "a"})),
    ] {
        let (found, reply) = install(id, &body).await;
        assert_eq!(found, status, "{id} {body}: {reply}");
        assert!(reply["error"].as_str().is_some_and(|error| !error.is_empty()), "{reply}");
        for (field, value) in fields.as_object().unwrap() {
            assert_eq!(&reply[field], value, "{reply}");
        }
    }
    assert!(!server.root().join("kits").exists(), "nothing was written");
    let once = json!({"source": {"kind": "git", "url": url}, "trustOverride": "allowed-this-once"});
    assert_eq!(install("spring/java", &once.to_string()).await.0, 200);

    for (method, path, status) in [
        ("GET", "kits/none", 404),
        ("GET", "kits/none/verify-signature", 404),
        ("POST", "kits/none/enable", 404),
        ("GET", "kits/spring/java/install", 405),
        ("GET", "kits/spring/java/enable", 405),
        ("POST", "kits/spring/java", 405),
        ("POST", "kits/spring/java/verify-signature", 405),
        ("POST", "kits", 405),
        ("GET", "kits/", 404),
        ("POST", "kit-sources/local", 404),
        ("POST", "kit-sources/local/install", 404),
        ("GET", "kit-sources/local/enable", 405),
        ("POST", "kit-sources/nowhere/enable", 404),
    ] {
        let reply = server.call(&format!("{method} /api/daemon/{path}"), &["content-type: application/json"], "").await;
        assert_eq!(reply.status, status, "{method} {path} {reply:?}");
        assert!(reply.json()["error"].is_string());
    }
    assert_eq!(server.get("/api/daemon/kits/none").await.json()["error"], "none: kit not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_the_client() {
    let server = server("").await;
    let (_dir, url) = repository();
    let client = ControlClient::new(&format!("http://{}", server.address)).unwrap();
    let source = KitInstallSource { kind: "git".to_owned(), url, ..KitInstallSource::default() };
    let request = KitInstallRequest { source: Some(source), ..KitInstallRequest::default() };
    let installed = client.install_kit("spring/java", &request).await.unwrap();
    assert_eq!(installed.kit.trust, KitTrust::Unsigned);
    assert_eq!(client.kits().await.unwrap().kits[0].id, "spring/java");
    assert_eq!(client.kit("spring/java").await.unwrap().commands["test"], "mvn test");
    assert!(client.verify_kit("spring/java").await.unwrap().ok);
    assert_eq!(client.set_kit_enabled("spring/java", false).await.unwrap().status.as_str(), "disabled");
    assert_eq!(client.kit("../x").await.unwrap_err().http_status(), Some(400));
    let sources = client.kit_sources().await.unwrap().sources;
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["local", "bundled", "rensei", "tessl", "agentskills", "community"]);
    let toggled = client.set_kit_source_enabled("local", false).await.unwrap();
    assert_eq!((toggled.message.as_str(), toggled.source.enabled), ("source local disabled", false));
    assert!(client.kits().await.unwrap().kits.is_empty());
    assert_eq!(client.install_kit("spring/java", &request).await.unwrap_err().http_status(), Some(409));
    assert_eq!(client.set_kit_source_enabled("a/b", true).await.unwrap_err().http_status(), Some(404));
    let settings = client.kit_settings().await.unwrap();
    assert_eq!(settings.scan_paths, [server.root().join("kits").to_string_lossy()]);
}
