//! Installation from real repositories, on this machine and over HTTP.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod faults;
mod fixture;
mod kill;
mod over_http;
mod trust;

use fixture::{Home, Repo, kit};
use rensei_proto::control::{KitInstallRequest, KitInstallSource, KitStatus, KitTrust};

#[tokio::test]
async fn a_kit_is_installed_with_everything_that_it_brings() {
    let (home, repo) = (Home::new(), Repo::new());
    let text = "[[provide.prompt_fragments]]\nfile = \"conv.md\"\n[[provide.skills]]\nfile = \"skills/a/SKILL.md\"\n\
                [provide.hooks]\npost_acquire = \"bin/setup.sh\"\n";
    repo.put("kits/rust/kit.toml", &kit("team/rust", text));
    repo.put("kits/rust/conv.md", "conventions");
    repo.put("kits/rust/bin/setup.sh", "echo hi");
    repo.put("kits/go/kit.toml", &kit("team/go", ""));
    repo.commit();
    let result = home.install("team/rust", &repo.source()).await.unwrap();
    assert_eq!(result.message, "kit installed from git source");
    assert_eq!((result.kit.trust, result.kit.status), (KitTrust::Unsigned, KitStatus::Active));
    assert_eq!(result.warnings, ["kits/rust/skills/a/SKILL.md is not in the repository"]);
    let kits = home.path();
    assert_eq!(home.names(), ["team__rust.kit.d", "team__rust.kit.toml"]);
    assert_eq!(std::fs::read_to_string(kits.join("team__rust.kit.d/conv.md")).unwrap(), "conventions");
    assert!(kits.join("team__rust.kit.d/bin/setup.sh").is_file());
    assert_eq!(fixture::mode(&kits.join("team__rust.kit.toml")), 0o600);
    assert_eq!(fixture::mode(kits), 0o700);
    assert_eq!(home.registry().list().kits[0].id, "team/rust");
}

#[tokio::test]
async fn branches_tags_commits_and_whole_names() {
    let (home, repo) = (Home::new(), Repo::new());
    repo.put("a.kit.toml", &kit("a", "[provide.commands]\nbuild = \"one\""));
    let first = repo.commit();
    repo.git(&["tag", "-a", "-m", "x", "v1"]);
    repo.git(&["tag", "light"]);
    repo.git(&["checkout", "-q", "-b", "next"]);
    repo.put("a.kit.toml", &kit("a", "[provide.commands]\nbuild = \"two\""));
    repo.commit();
    repo.git(&["checkout", "-q", "main"]);
    for (reference, build) in [
        ("", "one"),
        ("main", "one"),
        ("next", "two"),
        ("v1", "one"),
        ("light", "one"),
        ("refs/heads/next", "two"),
        ("refs/tags/v1", "one"),
        (first.as_str(), "one"),
    ] {
        let source = KitInstallSource { r#ref: reference.to_owned(), ..repo.source() };
        home.install("a", &source).await.unwrap();
        assert_eq!(home.registry().get("a").unwrap().commands["build"], build, "{reference}");
    }
}

#[tokio::test]
async fn the_manifest_that_was_asked_for_is_taken() {
    let (home, repo) = (Home::new(), Repo::new());
    repo.put("0-broken.kit.toml", "[kit\n");
    repo.put("kits/one/kit.toml", &kit("one", ""));
    repo.put("two.kit.toml", &kit("two", ""));
    repo.put("twice/a/kit.toml", &kit("three", ""));
    repo.put("twice/b/kit.toml", &kit("three", ""));
    repo.commit();
    home.install("one", &repo.source()).await.unwrap();
    home.install("two", &repo.source()).await.unwrap();
    let named = |path: &str| KitInstallSource { manifest_path: path.to_owned(), ..repo.source() };
    home.install("three", &named("./twice/b/kit.toml")).await.unwrap();
    for (id, source, problem) in [
        ("three", repo.source(), "several manifests have that id (twice/a/kit.toml, twice/b/kit.toml)"),
        ("four", repo.source(), "the kits there are: one, three, two; 0-broken.kit.toml:1:"),
        ("one", named("two.kit.toml"), "the manifest's kit.id is two"),
        ("one", named("none.toml"), "none.toml is not in the repository"),
        ("one", named("../x"), "must be a relative path"),
        ("one", named("/etc/passwd"), "must be a relative path"),
        ("one", named("kits"), "kits is a directory"),
        ("broken", named("0-broken.kit.toml"), "0-broken.kit.toml:1:"),
    ] {
        let (status, error) = home.refused(id, &source).await;
        assert_eq!(status, 422, "{error}");
        assert!(error.contains("manifest not found in fetched source: ") && error.contains(problem), "{error}");
    }
    assert_eq!(home.names(), ["one.kit.toml", "three.kit.toml", "two.kit.toml"]);
}

#[tokio::test]
async fn a_version_that_was_asked_for_is_demanded() {
    let (home, repo) = (Home::new(), Repo::new());
    repo.put("a.kit.toml", "[kit]\nid = \"a\"\nversion = \"1.0.0\"\n");
    repo.commit();
    let request = |version: &str| KitInstallRequest {
        version: version.to_owned(),
        source: Some(repo.source()),
        ..KitInstallRequest::default()
    };
    home.shared().install("a", request("1.0.0")).await.unwrap();
    let error = home.shared().install("a", request("2.0.0")).await.unwrap_err();
    assert_eq!(error.http_status(), 422);
}

#[tokio::test]
async fn a_new_version_replaces_all_of_the_old_one() {
    let (home, repo) = (Home::new(), Repo::new());
    repo.put("a.kit.toml", &kit("a", "[[provide.prompt_fragments]]\nfile = \"x.md\""));
    repo.put("a.kit.toml.sigstore", "{}");
    repo.put("x.md", "x");
    repo.commit();
    home.install("a", &repo.source()).await.unwrap();
    assert_eq!(home.names(), ["a.kit.d", "a.kit.toml", "a.kit.toml.sigstore"]);
    home.registry().set_enabled("a", false).unwrap();
    repo.put("a.kit.toml", &kit("a", ""));
    repo.git(&["rm", "-q", "a.kit.toml.sigstore"]);
    repo.commit();
    let result = home.install("a", &repo.source()).await.unwrap();
    assert_eq!(result.kit.status, KitStatus::Active);
    assert_eq!(home.names(), [".state.json", "a.kit.toml"]);
    assert_eq!(home.registry().list().kits[0].status, KitStatus::Disabled, "as the operator has said");
}

#[tokio::test]
async fn requests_that_name_no_usable_source() {
    let home = Home::new();
    let kind = |kind: &str| KitInstallSource { kind: kind.to_owned(), ..KitInstallSource::default() };
    for (source, status) in [(kind("tessl"), 501), (kind("agentskills"), 501), (kind("community"), 501)] {
        assert_eq!(home.refused("a", &source).await.0, status);
    }
    for unknown in ["", "local", "bundled", "GIT", "svn"] {
        assert_eq!(home.refused("a", &kind(unknown)).await.0, 400, "{unknown}");
    }
    let error = home.shared().install("a", KitInstallRequest::default()).await.unwrap_err();
    assert_eq!(error.http_status(), 501);
    assert!(error.to_string().contains("remote registry fetch not implemented in this wave"));
    for id in ["../x", "a\\b", "%2e%2e", "a\0", ".hidden"] {
        assert_eq!(home.refused(id, &kind("git")).await.0, 400, "{id}");
    }
    home.registry().set_source_enabled("local", false).unwrap();
    assert_eq!(home.refused("a", &kind("git")).await.0, 409);
}
