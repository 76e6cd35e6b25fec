//! `kill -9` at any moment of an installation.

use crate::fixture::{Home, Repo, kit};
use rensei_kits::{Registry, RegistryOptions};
use rensei_proto::control::{KitInstallRequest, KitInstallSource};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 100;
const HOME: &str = "KITS_TEST_HOME";
const URL: &str = "KITS_TEST_URL";

/// The installer that gets killed: installs two versions in turn, for ever. Does nothing as a test of its own.
#[tokio::test]
async fn installs_until_it_is_killed() {
    let (Ok(home), Ok(url)) = (std::env::var(HOME), std::env::var(URL)) else { return };
    let options = RegistryOptions { scan_paths: vec![home.into()], ..RegistryOptions::default() };
    let registry = Arc::new(Registry::new(options));
    println!("\nready");
    for version in ["v1", "v2"].iter().cycle() {
        let source = KitInstallSource {
            kind: "git".to_owned(),
            url: url.clone(),
            r#ref: (*version).to_owned(),
            ..KitInstallSource::default()
        };
        let request = KitInstallRequest { source: Some(source), ..KitInstallRequest::default() };
        Arc::clone(&registry).install("a", request).await.unwrap();
    }
}

/// What there is of the kit, after a look by the registry: nothing, or the version that all its files are of.
fn whole_version(home: &Home) -> Option<String> {
    let list = home.registry().list();
    assert_eq!(list.problems, Vec::<String>::new());
    let left: Vec<String> = home.names().into_iter().filter(|name| name.starts_with(".commit-")).collect();
    assert_eq!(left, [""; 0], "what was begun is finished");
    let Some(kit) = list.kits.first() else {
        let names: Vec<String> = home.names().into_iter().filter(|name| !name.starts_with(".install-")).collect();
        assert_eq!(names, [""; 0], "not at all");
        return None;
    };
    let version = &kit.version;
    let read = |name: &str| std::fs::read_to_string(home.path().join(name)).ok();
    // The first version has a bundle and a file, the second one has another bundle and no file.
    assert_eq!(read("a.kit.toml.sigstore").as_deref(), Some(version.as_str()), "the bundle is that of the manifest");
    let file = (version == "1.0.0").then(|| "text of 1.0.0".to_owned());
    assert_eq!(read("a.kit.d/x.md"), file, "the files are those of the manifest");
    Some(version.clone())
}

#[test]
fn a_killed_installation_leaves_the_kit_whole_or_not_at_all() {
    let repo = Repo::new();
    let put = |version: &str, more: &str| {
        repo.put("a.kit.toml", &format!("{}version = \"{version}\"\n", kit("a", more)));
        repo.put("a.kit.toml.sigstore", version);
        repo.commit();
    };
    repo.put("x.md", "text of 1.0.0");
    put("1.0.0", "[[provide.prompt_fragments]]\nfile = \"x.md\"");
    repo.git(&["tag", "v1"]);
    put("2.0.0", "");
    repo.git(&["tag", "v2"]);
    let mut seen = std::collections::BTreeSet::new();
    let mut home = Home::new();
    for round in 0..ROUNDS {
        if round % 4 == 0 {
            // Also the first installation of all gets killed.
            home = Home::new();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::installs_until_it_is_killed", "--nocapture"])
            .env(HOME, home.path())
            .env(URL, repo.source().url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        // No synchronisation: the moments are meant to differ. Two installations take about this long.
        let until = Instant::now() + Duration::from_micros(u64::from(round % 25) * 700);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        seen.insert(whole_version(&home));
    }
    assert!(seen.len() >= 2, "the moments differ: {seen:?}");
}
