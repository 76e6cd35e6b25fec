//! Hostile and broken sources.

use crate::fixture::{Home, Repo, kit};
use rensei_proto::control::KitInstallSource;
use std::path::Path;

#[tokio::test]
async fn places_that_are_no_source() {
    let home = Home::new();
    let touched = home.path().join("touched");
    let evil = format!("touch {}", touched.display());
    for url in [
        String::new(),
        format!("ext::sh -c {evil}"),
        format!("--upload-pack={evil}"),
        "ssh://git@127.0.0.1/x".to_owned(),
        "git://127.0.0.1/x".to_owned(),
        "git@127.0.0.1:x".to_owned(),
        "file:///no/such/repository".to_owned(),
        "http://127.0.0.1:1/x".to_owned(),
    ] {
        let source = KitInstallSource { kind: "git".to_owned(), url, ..KitInstallSource::default() };
        let (status, error) = home.refused("a", &source).await;
        assert_eq!(status, 502, "{error}");
        assert!(error.starts_with("kit install: source fetch failed: "), "{error}");
    }
    assert!(!touched.exists());
    assert_eq!(home.names(), [""; 0]);
}

#[tokio::test]
async fn references_that_are_none() {
    let (home, repo) = (Home::new(), Repo::new());
    let (status, error) = home.refused("a", &repo.source()).await;
    assert_eq!(status, 502);
    assert!(error.ends_with("the repository is empty"), "{error}");
    repo.put("a.kit.toml", &kit("a", ""));
    repo.commit();
    for reference in ["none", "--upload-pack=x", "main:x", "../x", &"0".repeat(40), "refs/heads/none", "HEAD~1"] {
        let source = KitInstallSource { r#ref: reference.to_owned(), ..repo.source() };
        let (status, error) = home.refused("a", &source).await;
        assert_eq!(status, 502, "{error}");
        assert!(error.contains(reference), "{error}");
    }
}

#[tokio::test]
async fn links_are_not_followed() {
    let (home, repo) = (Home::new(), Repo::new());
    let secret = home.path().with_file_name("secret.toml");
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(&secret, kit("a", "")).unwrap();
    std::os::unix::fs::symlink(&secret, repo.path().join("a.kit.toml")).unwrap();
    repo.commit();
    let (status, error) = home.refused("a", &repo.source()).await;
    assert_eq!(status, 422);
    assert!(error.ends_with("there is no kit"), "{error}");
    let named = KitInstallSource { manifest_path: "a.kit.toml".to_owned(), ..repo.source() };
    let (_, error) = home.refused("a", &named).await;
    assert!(error.ends_with("a.kit.toml is a symbolic link, not a regular file"), "{error}");

    // Nor for the bundle, nor for a file that the kit brings, nor through a linked directory.
    repo.put("b.kit.toml", &kit("b", ""));
    std::os::unix::fs::symlink(&secret, repo.path().join("b.kit.toml.sigstore")).unwrap();
    repo.put("c.kit.toml", &kit("c", "[[provide.prompt_fragments]]\nfile = \"text.md\""));
    std::os::unix::fs::symlink(&secret, repo.path().join("text.md")).unwrap();
    std::os::unix::fs::symlink("/etc", repo.path().join("etc")).unwrap();
    repo.commit();
    assert!(home.refused("b", &repo.source()).await.1.contains("a symbolic link"));
    let installed = home.install("c", &repo.source()).await.unwrap();
    assert_eq!(installed.warnings, ["text.md is a symbolic link, not a regular file"]);
    let through = KitInstallSource { manifest_path: "etc/passwd".to_owned(), ..repo.source() };
    assert_eq!(home.refused("a", &through).await.0, 422);
}

#[tokio::test]
async fn nothing_of_a_repository_runs() {
    let (home, repo) = (Home::new(), Repo::new());
    let touched = home.path().with_file_name("touched");
    repo.put("a.kit.toml", &kit("a", ""));
    repo.put(".gitattributes", "* filter=evil\n");
    repo.put(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh\n");
    repo.commit();
    let evil = format!("touch {}", touched.display());
    for key in ["filter.evil.smudge", "core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook"] {
        repo.git(&["config", key, &evil]);
    }
    for hook in ["post-checkout", "post-merge", "pre-upload"] {
        let path = repo.path().join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{evil}\n")).unwrap();
    }
    home.install("a", &repo.source()).await.unwrap();
    assert!(!touched.exists());
}

#[tokio::test]
async fn line_ends_and_all_other_bytes_stay_as_they_are() {
    let (home, repo) = (Home::new(), Repo::new());
    let text = "[kit]\r\nid = \"a\"\r\n# \u{2014}\r\n";
    repo.put(".gitattributes", "* text eol=lf\n");
    repo.git(&["add", ".gitattributes"]);
    repo.put("a.kit.toml", text);
    // Past every filter: exactly these bytes.
    let blob = repo.git(&["hash-object", "-w", "--no-filters", "a.kit.toml"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{},a.kit.toml", blob.trim())]);
    repo.git(&["commit", "-q", "-m", "x"]);
    home.install("a", &repo.source()).await.unwrap();
    assert_eq!(std::fs::read_to_string(home.path().join("a.kit.toml")).unwrap(), text);
}

#[tokio::test]
async fn too_much_is_refused() {
    let (home, repo) = (Home::new(), Repo::new());
    repo.put("a.kit.toml", &format!("{}#{}", kit("a", ""), "x".repeat(2 << 20)));
    repo.put("b.kit.toml", &kit("b", "[files]\n\"large\" = \"aa\""));
    repo.commit();
    assert!(home.refused("a", &repo.source()).await.1.contains("larger than 1024 KiB"));
    assert!(home.refused("b", &repo.source()).await.1.contains("must be a SHA-256 digest"));
    let many: String = (0..10).map(|n| format!("[[provide.skills]]\nfile = \"f{n}\"\n")).collect();
    repo.put("c.kit.toml", &kit("c", &many));
    (0..10).for_each(|n| repo.put(&format!("f{n}"), &"x".repeat(900_000 + n)));
    repo.commit();
    assert!(home.refused("c", &repo.source()).await.1.contains("its files are more than 8192 KiB"));
    assert_eq!(home.names(), [""; 0]);
}

#[tokio::test]
async fn described_files_are_as_described() {
    let (home, repo) = (Home::new(), Repo::new());
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    repo.put("a.kit.toml", &kit("a", &format!("[files]\n\"x.md\" = \"{digest}\"")));
    repo.put("x.md", "test");
    repo.commit();
    home.install("a", &repo.source()).await.unwrap();
    repo.put("x.md", "changed");
    repo.commit();
    let (status, error) = home.refused("a", &repo.source()).await;
    assert!(status == 422 && error.ends_with("x.md is not the file that [files] describes"), "{error}");
    repo.git(&["rm", "-q", "x.md"]);
    repo.commit();
    assert!(home.refused("a", &repo.source()).await.1.ends_with("x.md is not in the repository"));
    assert_eq!(std::fs::read_to_string(home.path().join("a.kit.d/x.md")).unwrap(), "test", "the old version stays");
}

#[tokio::test]
async fn ids_that_share_a_file_name_do_not_replace_each_other() {
    let (home, repo) = (Home::new(), Repo::new());
    repo.put("one.kit.toml", &kit("a/b", ""));
    repo.put("two.kit.toml", &kit("a__b", ""));
    repo.commit();
    home.install("a/b", &repo.source()).await.unwrap();
    let (status, error) = home.refused("a__b", &repo.source()).await;
    assert_eq!(status, 409);
    assert!(error.ends_with("a__b.kit.toml belongs to kit a/b"), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    let home = Home::new();
    let repo = Repo::new();
    repo.put("a.kit.toml", &kit("a", ""));
    repo.commit();
    // A file where the directory should be: refused to root as well.
    std::fs::write(home.path(), "").unwrap();
    let (status, error) = home.refused("a", &repo.source()).await;
    assert_eq!(status, 500);
    assert!(error.starts_with("failed to store kit a in ") && error.contains("kits"), "{error}");
    assert!(Path::new(home.path()).is_file());
}
