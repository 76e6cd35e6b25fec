//! The registry: scanning, what is read again, switches.

use super::*;
use rensei_proto::control::{KitStatus, KitTrust};
use std::fs;
use tempfile::TempDir;

struct Host {
    dir: TempDir,
    registry: Registry,
}

fn host() -> Host {
    let dir = tempfile::tempdir().unwrap();
    let scan_paths = vec![dir.path().join("one"), dir.path().join("two")];
    let registry = Registry::new(RegistryOptions { scan_paths, ..RegistryOptions::default() });
    Host { dir, registry }
}

impl Host {
    /// Writes a manifest whose times are past all doubt.
    fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }

    fn ids(&self) -> Vec<String> {
        self.registry.list().kits.into_iter().map(|kit| kit.id).collect()
    }

    fn reads(&self) -> usize {
        self.registry.cache().reads
    }
}

fn kit(id: &str) -> String {
    format!("[kit]\nid = \"{id}\"\nversion = \"1.0.0\"\n")
}

#[test]
fn no_directory_is_no_kit() {
    let host = host();
    assert_eq!(host.registry.list(), KitList::default());
    assert_eq!(serde_json::to_string(&host.registry.list()).unwrap(), r#"{"kits":[]}"#);
}

#[test]
fn kits_are_listed_by_id_and_what_is_none_is_named() {
    let host = host();
    host.put("one/z.kit.toml", &kit("a/z"));
    host.put("one/a.kit.toml", &kit("b"));
    host.put("two/c.kit.toml", &kit("a/c"));
    host.put("one/sub/d.kit.toml", &kit("d"));
    host.put("one/other.toml", &kit("e"));
    host.put("one/.hidden.kit.toml", &kit("f"));
    host.put("one/broken.kit.toml", "[kit\n");
    host.put("one/anonymous.kit.toml", "[kit]\n");
    fs::create_dir(host.dir.path().join("one/dir.kit.toml")).unwrap();
    std::os::unix::fs::symlink(host.dir.path().join("one/z.kit.toml"), host.dir.path().join("one/link.kit.toml"))
        .unwrap();
    assert_eq!(host.ids(), ["a/c", "a/z", "b"]);
    let problems = host.registry.list().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, part) in problems.iter().zip(["`kit.id` is missing", "broken.kit.toml:1:", "link.kit.toml: "]) {
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn of_two_files_with_one_id_the_later_path_wins_and_the_other_is_named() {
    let host = host();
    host.put("one/a.kit.toml", &kit("a"));
    host.put("two/x.kit.toml", &kit("a").replace("1.0.0", "2.0.0"));
    let list = host.registry.list().kits;
    assert_eq!((list.len(), list[0].version.as_str()), (1, "2.0.0"));
    assert_eq!(list[0].shadows, [host.dir.path().join("one/a.kit.toml").to_string_lossy()]);
}

#[test]
fn only_changed_files_are_read_again() {
    let host = host();
    for n in 0..20 {
        host.put(&format!("one/{n:02}.kit.toml"), &kit(&format!("k{n:02}")));
    }
    host.put("one/00.kit.toml.sigstore", "{}");
    // What has just been written is not believed to stay: look until it is settled.
    loop {
        let (_, before) = (host.ids(), host.reads());
        if (host.ids(), host.reads()).1 == before {
            break;
        }
    }
    let before = host.reads();
    assert_eq!(host.ids().len(), 20);
    assert_eq!(host.reads(), before, "nothing has changed");
    host.put("one/07.kit.toml", &kit("changed"));
    assert!(host.ids().contains(&"changed".to_owned()));
    assert_eq!(host.reads(), before + 1);
    fs::remove_file(host.dir.path().join("one/08.kit.toml")).unwrap();
    assert_eq!(host.ids().len(), 19);
    assert_eq!(host.registry.get("k00").unwrap().summary.trust, KitTrust::SignedUnverified);
    fs::remove_file(host.dir.path().join("one/00.kit.toml.sigstore")).unwrap();
    assert_eq!(host.registry.get("k00").unwrap().summary.trust, KitTrust::Unsigned);
}

#[test]
fn switches_survive_and_only_what_is_off_is_written() {
    let host = host();
    for id in ["a", "b"] {
        host.put(&format!("one/{id}.kit.toml"), &kit(id));
    }
    let file = host.dir.path().join("one/.state.json");
    assert!(!file.exists());
    assert_eq!(host.registry.set_enabled("b", false).unwrap().status, KitStatus::Disabled);
    host.registry.set_enabled("b", false).unwrap();
    host.registry.set_enabled("a", false).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "{\n  \"disabledIds\": [\n    \"b\",\n    \"a\"\n  ]\n}");
    assert!(host.registry.active().is_empty());
    let again = Registry::new(host.registry.options.clone());
    assert_eq!(again.list().kits[0].status, KitStatus::Disabled);
    again.set_enabled("a", true).unwrap();
    again.set_enabled("b", true).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
    assert_eq!(host.registry.active().len(), 2);
    for unknown in ["c", "A"] {
        assert_eq!(host.registry.set_enabled(unknown, true).unwrap_err().http_status(), 404);
    }
    assert_eq!(host.registry.set_enabled("../x", true).unwrap_err().http_status(), 400);
    fs::write(&file, "garbage").unwrap();
    assert_eq!(host.registry.active().len(), 2, "what cannot be read is nothing");
}

#[test]
fn sources_have_an_order_and_their_state_counts() {
    let host = host();
    host.put("one/a.kit.toml", &kit("a"));
    let names: Vec<(u32, String)> =
        host.registry.sources().sources.into_iter().map(|source| (source.priority, source.name)).collect();
    let expected = ["local", "bundled", "rensei", "tessl", "agentskills", "community"];
    assert!(names.iter().map(|(_, name)| name.as_str()).eq(expected), "{names:?}");
    assert!(names.iter().map(|(priority, _)| *priority).eq(1..=6));

    let toggled = host.registry.set_source_enabled("local", false).unwrap();
    assert_eq!((toggled.message.as_str(), toggled.source.enabled), ("source local disabled", false));
    assert!(host.ids().is_empty() && host.registry.active().is_empty(), "a source that is off has no kits");
    assert_eq!(host.registry.set_source_enabled("local", true).unwrap().message, "source local enabled");
    assert_eq!(host.ids(), ["a"]);
    host.registry.set_source_enabled("tessl", false).unwrap();
    assert!(!host.registry.sources().sources[3].enabled);
    let error = host.registry.set_source_enabled("nowhere", true).unwrap_err();
    assert_eq!((error.http_status(), error.to_string()), (404, "nowhere: kit source not found".to_owned()));
}

#[test]
fn a_strict_host_lets_only_verified_kits_run_something() {
    let host = host();
    host.put("one/a.kit.toml", &kit("a"));
    let kit = Arc::clone(&host.registry.active()[0]);
    assert_eq!(host.registry.refuses_to_run(&kit), None);
    let mut options = host.registry.options.clone();
    for mode in [TrustMode::SignedByAllowlist, TrustMode::Attested] {
        options.trust.mode = mode;
        let reason = Registry::new(options.clone()).refuses_to_run(&kit).unwrap();
        assert_eq!(reason, "it is unsigned, and trust.mode asks for a verified signature");
    }
}

#[test]
fn settings_make_the_same_policy_elsewhere() {
    let trust = TrustPolicy {
        mode: TrustMode::Attested,
        identities: vec![crate::AllowedIdentity::parse("a@example.com https://issuer.example.com").unwrap()],
        root: Some("/root.json".into()),
        actor: None,
    };
    let options =
        RegistryOptions { scan_paths: vec!["/kits".into()], trust: trust.clone(), ..RegistryOptions::default() };
    let settings = Registry::new(options).settings();
    let copy = TrustPolicy::from_settings(&settings).unwrap();
    assert_eq!((copy.mode, &copy.identities, &copy.root), (trust.mode, &trust.identities, &trust.root));
}
