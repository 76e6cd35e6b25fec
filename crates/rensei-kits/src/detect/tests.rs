//! Detection on trees of every kind.

use super::*;
use std::fs;
use tempfile::TempDir;

fn kit(id: &str, rules: &str) -> Arc<Kit> {
    let text = format!("{rules}\n[kit]\nid = \"{id}\"\n");
    Arc::new(Kit::read(Path::new("/kits/x.kit.toml"), text.as_bytes()).unwrap())
}

fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let (path, text) = file.split_once('=').unwrap_or((file, ""));
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

const LINUX: Target = Target { os: "linux", arch: Some("x86_64") };

fn detect(files: &[&str], kits: &[Arc<Kit>]) -> Detection {
    Detection::of(tree(files).path(), kits, LINUX).unwrap()
}

/// `id@root` of all matches.
fn found(files: &[&str], kits: &[Arc<Kit>]) -> Vec<String> {
    let detection = detect(files, kits);
    detection.matches.iter().map(|found| format!("{}@{}", found.kit.id(), shown_root(&found.root))).collect()
}

fn foundation(id: &str, file: &str) -> Arc<Kit> {
    kit(id, &format!("[composition]\norder = \"foundation\"\n[detect]\nfiles = [\"{file}\"]"))
}

#[test]
fn every_rule_counts() {
    let rules = "[detect]\nfiles = [\"a\", \"b\"]\nfiles_all = [\"c\", \"d/e\"]\nnot_files = [\"no\"]\n\
                 [[detect.content_matches]]\nfile = \"p.json\"\njson_path = \"$.x\"";
    let kits = [kit("k", rules)];
    let whole = ["b", "c", "d/e", "p.json={\"x\":1}"];
    assert_eq!(found(&whole, &kits), ["k@."]);
    for missing in ["b", "c", "d/e"] {
        let files: Vec<&str> = whole.into_iter().filter(|file| *file != missing).collect();
        assert_eq!(found(&files, &kits), [""; 0], "without {missing}");
    }
    assert_eq!(found(&["b", "c", "d/e", "p.json={}"], &kits), [""; 0]);
    assert_eq!(found(&["b", "c", "d/e", "p.json={\"x\":1}", "no"], &kits), [""; 0]);
    let detection = detect(&whole, &kits);
    assert_eq!(detection.matches[0].reasons, ["c", "d/e", "b", "p.json has $.x"]);
    assert_eq!(detection.matches[0].confidence, 90);
}

#[test]
fn what_asks_for_no_file_never_matches() {
    for rules in ["[detect]\nexec = \"true\"", "[detect]\nnot_files = [\"z\"]", ""] {
        let detection = detect(&["a"], &[kit("k", rules)]);
        assert!(detection.matches.is_empty());
        assert_eq!(detection.rejected[0].reason, "it names no files to look for");
    }
}

#[test]
fn globs_match_names_and_paths() {
    let kits = |pattern: &str| [kit("k", &format!("[detect]\nfiles = [\"{pattern}\"]"))];
    let files = ["App.csproj", "src/deep/er/than/roots/x.cs", ".github/workflows/ci.yml"];
    for pattern in ["*.csproj", "App.{csproj,sln}", "src/**/*.cs", "**/x.cs", ".github/workflows/ci.yml"] {
        assert_eq!(found(&files, &kits(pattern)), ["k@."], "{pattern}");
    }
    for pattern in ["*.sln", "*.cs", "src/*.cs", "app.csproj"] {
        assert_eq!(found(&files, &kits(pattern)), [""; 0], "{pattern}");
    }
}

#[test]
fn order_then_priority_then_id() {
    let rules = |order: &str, priority: i32| {
        format!("[composition]\norder = \"{order}\"\n[detect]\nfiles = [\"a\"]\n#{priority}")
    };
    let with = |id: &str, order: &str, priority: i32| {
        let text = format!("[kit]\nid = \"{id}\"\npriority = {priority}\n{}", rules(order, priority));
        Arc::new(Kit::read(Path::new("/x"), text.as_bytes()).unwrap())
    };
    let kits = [
        with("z", "odd", 99),
        with("b", "framework", 5),
        with("c", "framework", 5),
        with("a", "framework", 4),
        with("f", "foundation", -1),
    ];
    assert_eq!(found(&["a"], &kits), ["f@.", "b@.", "c@.", "a@.", "z@."]);
    let mut reversed = kits;
    reversed.reverse();
    assert_eq!(found(&["a"], &reversed), ["f@.", "b@.", "c@.", "a@.", "z@."]);
}

#[test]
fn monorepos_have_a_root_for_each_kit() {
    let kits = [foundation("go", "go.mod"), foundation("node", "package.json")];
    let files = ["backend/go.mod", "backend/sub/go.mod", "apps/web/package.json", "x/node_modules/y/package.json"];
    let detection = detect(&files, &kits);
    assert_eq!(found(&files, &kits), ["go@backend", "node@apps/web"]);
    detection.checked().unwrap();
    assert_eq!(found(&["a/b/c/go.mod", "p/q/r/s/package.json"], &kits), ["go@a/b/c"], "three levels, not four");
    // A root inside the other one's: the inner kit is for its own directory.
    let nested = detect(&["go.mod", "web/package.json"], &kits);
    assert_eq!(nested.matches.len(), 2);
    nested.checked().unwrap();
}

#[test]
fn two_foundations_of_one_directory_are_a_conflict_that_names_both() {
    let kits = [foundation("z/rust", "Cargo.toml"), foundation("a/go", "go.mod")];
    let error = detect(&["go.mod", "Cargo.toml"], &kits).checked().unwrap_err();
    assert_eq!(error.to_string(), "multiple foundation kits matched in .: [a/go, z/rust]");
    assert_eq!(error.hint().unwrap(), "disable one of them: rensei kit disable z/rust");
}

#[test]
fn conflicts_and_dependencies() {
    let files = ["a", "b"];
    let rules = |more: &str, file: &str| format!("{more}\n[detect]\nfiles = [\"{file}\"]");
    let one = kit("one", &rules("[composition]\nconflicts_with = [\"two\", \"one\"]", "a"));
    let two = kit("two", &rules("[provides]\ncapabilities = [\"cap\"]", "b"));
    let error = detect(&files, &[one.clone(), two.clone()]).checked().unwrap_err();
    assert_eq!(error.to_string(), "kits that conflict with each other matched: [one, two]");
    detect(&["x/a", "y/b"], &[one, two.clone()]).checked().unwrap();

    let three = kit("three", &rules("[depends_on]\nkits = [\"two\"]\ncapabilities = [\"cap\"]", "a"));
    let four = kit("four", &rules("[depends_on]\nkits = [\"three\"]", "a"));
    assert_eq!(found(&files, &[three.clone(), four.clone(), two.clone()]), ["four@.", "three@.", "two@."]);
    let detection = detect(&["a"], &[three, four, two]);
    assert!(detection.matches.is_empty());
    let reasons: Vec<&str> = detection.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it depends on three, which does not apply to .",
            "it depends on two, which does not apply to .",
            "there is none of b"
        ]
    );
}

#[test]
fn hostile_trees() {
    let dir = tree(&["real/go.mod"]);
    std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/", dir.path().join("up")).unwrap();
    let detection = Detection::of(dir.path(), &[foundation("go", "go.mod")], LINUX).unwrap();
    assert_eq!(detection.matches.len(), 1, "links are not followed");
    let error = Detection::of(Path::new("/no/such/tree"), &[], LINUX).unwrap_err();
    assert_eq!(error.to_string(), "failed to read directory /no/such/tree");
}

#[test]
fn the_machine_counts() {
    let detection = detect(&["a"], &[kit("mac", "[supports]\nos = [\"macos\"]\n[detect]\nfiles = [\"a\"]")]);
    assert_eq!(detection.rejected[0].reason, "it is for macos, not linux");
}

#[tokio::test]
async fn commands_have_the_last_word_where_they_may_run() {
    let rules = |exec: &str| format!("[detect]\nfiles = [\"a\"]\nexec = '''{exec}'''");
    let kits = [
        kit("code", &rules("test -f a")),
        kit("said", &rules(r#"echo '{"applies":true,"confidence":0.75,"reason":"it is"}'"#)),
        kit("unsure", &rules(r#"echo '{"confidence":0.3}'"#)),
        kit("no", &rules(r#"echo '{"applies":false,"reason":"too old"}'"#)),
        kit("fails", &rules("exit 4")),
        kit("forbidden", &rules("touch forbidden")),
    ];
    let dir = tree(&["a"]);
    let detection = Detection::of(dir.path(), &kits, LINUX).unwrap();
    let probing = Probing {
        env: std::collections::BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        refusal: |kit: &Kit| (kit.id().as_str() == "forbidden").then(|| "it is unsigned".to_owned()),
    };
    let detection = detection.probe(&probing).await;
    let matches: Vec<(String, u8)> =
        detection.matches.iter().map(|found| (found.kit.id().to_string(), found.confidence)).collect();
    assert_eq!(matches, [("code".to_owned(), 60), ("forbidden".to_owned(), 60), ("said".to_owned(), 75)]);
    assert_eq!(detection.matches[1].reasons, ["a", "its detect.exec was not run: it is unsigned"]);
    assert_eq!(detection.matches[2].reasons[1], "its detect.exec says: it is in .");
    let rejected: Vec<&str> = detection.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(
        rejected,
        ["its detect.exec said no (exit code 4)", "its detect.exec said no: too old", "its detect.exec said no"]
    );
    assert!(!dir.path().join("forbidden").exists());
}
