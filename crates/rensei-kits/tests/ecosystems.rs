//! The kits in `kits/` on layouts of real projects.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_kits::{Composition, Detection, Kit, Purpose, Target, shown_root};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LINUX: Target = Target { os: "linux", arch: Some("x86_64") };

fn kits() -> Vec<Arc<Kit>> {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kits");
    let mut kits = Vec::new();
    for entry in std::fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path().join("kit.toml");
        if path.is_file() {
            kits.push(Arc::new(Kit::read(&path, &std::fs::read(&path).unwrap()).unwrap()));
        }
    }
    assert_eq!(kits.len(), 6);
    kits
}

/// What applies to a tree with these files, as `id@root`, and what it amounts to.
fn detect(files: &[&str]) -> (Vec<String>, Composition) {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let (path, text) = file.split_once('=').unwrap_or((file, ""));
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let detection = Detection::of(dir.path(), &kits(), LINUX).unwrap().checked().unwrap();
    let found = detection.matches.iter().map(|found| format!("{}@{}", found.kit.id(), shown_root(&found.root)));
    let found = found.collect();
    // Strict: every file that a kit brings has its digest in the manifest.
    let purpose = Purpose { target: LINUX, work_type: "development", unsigned_files: false };
    let composed = Composition::of(&detection, purpose).unwrap();
    assert_eq!(composed.warnings, Vec::<String>::new());
    (found, composed)
}

const NEXT: &str = r#"package.json={"dependencies":{"next":"15.0.0","react":"19.0.0"}}"#;

#[test]
fn the_kits_are_clean() {
    for kit in kits() {
        assert!(kit.warnings.is_empty(), "{}: {:?}", kit.path.display(), kit.warnings);
    }
}

#[test]
fn projects_of_one_ecosystem() {
    let layouts: &[(&str, &[&str], &[&str])] = &[
        ("cargo package", &["Cargo.toml", "Cargo.lock", "src/main.rs", "tests/cli.rs"], &["rensei/rust@."]),
        (
            "cargo workspace with a vendored package and a web page for its tests",
            &["Cargo.toml", "crates/a/Cargo.toml", "vendor/x/Cargo.toml", "tests/fixtures/web/package.json"],
            &["rensei/rust@."],
        ),
        ("npm library", &["package.json={}", "package-lock.json", "src/index.js"], &["rensei/node@."]),
        ("deno with a package.json", &["package.json={}", "deno.json", "main.ts"], &[]),
        ("next application", &[NEXT, "next.config.mjs", "app/page.tsx"], &["rensei/node@.", "rensei/nextjs@."]),
        ("a left-over next configuration", &["package.json={}", "next.config.js"], &["rensei/node@."]),
        ("poetry project", &["pyproject.toml", "poetry.lock", "src/pkg/__init__.py"], &["rensei/python@."]),
        ("requirements only", &["requirements-dev.txt", "app.py"], &["rensei/python@."]),
        ("go service", &["go.mod", "go.sum", "cmd/server/main.go"], &["rensei/go@."]),
        ("maven project", &["pom.xml", "core/pom.xml", "src/main/java/App.java"], &["rensei/java@."]),
        ("gradle project", &["settings.gradle.kts", "app/build.gradle.kts", "gradlew"], &["rensei/java@."]),
        ("documents", &["README.md", "docs/index.md"], &[]),
    ];
    for (name, files, expected) in layouts {
        assert_eq!(detect(files).0, *expected, "{name}");
    }
}

#[test]
fn a_monorepo_with_two_that_apply() {
    let web = r#"web/package.json={"dependencies":{"next":"15"}}"#;
    let files =
        [web, "web/next.config.ts", "web/app/page.tsx", "services/api/go.mod", "services/api/main.go", "README.md"];
    let (found, composed) = detect(&files);
    assert_eq!(found, ["rensei/go@services/api", "rensei/node@web", "rensei/nextjs@web"]);
    let commands: Vec<(&str, &str)> =
        composed.commands.iter().map(|command| (command.root.as_str(), command.name.as_str())).collect();
    assert_eq!(
        commands,
        [
            ("services/api", "build"),
            ("services/api", "test"),
            ("services/api", "validate"),
            ("web", "build"),
            ("web", "test"),
            ("web", "validate")
        ]
    );
    let texts: Vec<(&str, &str)> =
        composed.prompt.iter().map(|text| (text.root.as_str(), text.name.as_str())).collect();
    assert_eq!(texts, [("services/api", "go-conventions"), ("web", "node-conventions"), ("web", "nextjs-conventions")]);
    assert!(composed.clean_dirs.contains(&"web/.next".to_owned()));
}

#[test]
fn two_foundations_in_one_directory_name_both() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["go.mod", "Cargo.toml"] {
        std::fs::write(dir.path().join(file), "").unwrap();
    }
    let error = Detection::of(Path::new(dir.path()), &kits(), LINUX).unwrap().checked().unwrap_err();
    assert_eq!(error.to_string(), "multiple foundation kits matched in .: [rensei/go, rensei/rust]");
}
