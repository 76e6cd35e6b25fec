use super::*;
use crate::config::edit::NewProject;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

fn add(id: &str) -> Edit {
    Edit::AddProject(NewProject { id: id.to_owned(), repository: "o/n".to_owned(), ..NewProject::default() })
}

fn update(path: &Path, edits: &[Edit]) -> Result<Option<String>, EditError> {
    ConfigFile::update(path, &BTreeMap::new(), edits)
}

#[test]
fn config_file_is_created_private_with_a_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/daemon.yaml");
    update(&path, &[add("a")]).unwrap().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{HEADER}projects:\n  - id: a\n    repository: o/n\n"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn config_file_keeps_its_mode_private_and_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let (target, path) = (dir.path().join("dot.yaml"), dir.path().join("daemon.yaml"));
    fs::write(&target, "machine: {id: m} # keep\n").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    update(&path, &[Edit::capacity("maxConcurrentSessions", 0)]).unwrap().unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&target).unwrap();
    assert_eq!(text, "machine: {id: m} # keep\ncapacity:\n  maxConcurrentSessions: 0\n");
}

#[test]
fn config_file_that_changed_meanwhile_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    for (before, after) in [(Some("machine: {id: m}\n"), Some("machine: {id: n}\n")), (None, Some("{}\n"))] {
        let _missing = fs::remove_file(&path);
        before.into_iter().for_each(|text| fs::write(&path, text).unwrap());
        let mut file = ConfigFile::open(&path, &BTreeMap::new()).unwrap();
        assert!(file.edit(&add("a")).unwrap());
        after.into_iter().for_each(|text| fs::write(&path, text).unwrap());
        let error = file.save().unwrap_err();
        assert!(matches!(error, EditError::ChangedMeanwhile { .. }) && error.is_retryable());
        assert_eq!(fs::read_to_string(&path).unwrap(), after.unwrap());
    }
}

#[test]
fn config_file_is_not_touched_by_edits_that_fail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    let cases = [
        ("machine: [\n", vec![add("a")]),
        ("machine: {id: m}\n", vec![add("a"), Edit::capacity("nonsense", 1)]),
        ("machine: {id: m}\n", vec![add("a"), add("")]),
    ];
    for (text, edits) in cases {
        fs::write(&path, text).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!update(&path, &edits).unwrap_err().is_retryable());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn config_file_that_cannot_be_written_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    fs::write(&path, "{}\n").unwrap();
    // What is written first is a file of this name.
    fs::create_dir(dir.path().join("daemon.yaml.tmp")).unwrap();
    assert!(matches!(update(&path, &[add("a")]).unwrap_err(), EditError::Write { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
}

#[test]
fn config_file_says_who_holds_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    let _held = lock(&path).unwrap();
    let error = update(&path, &[add("a")]).unwrap_err();
    assert!(error.is_retryable() && error.hint().contains("daemon.yaml.lock"), "{error:?}");
}

#[test]
fn config_file_loses_no_edit_of_concurrent_writers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..5 {
                    let edit = [add(&format!("p{writer}-{number}"))];
                    while let Err(error) = update(path, &edit) {
                        assert!(error.is_retryable(), "{error:?}");
                    }
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap().matches("- id: p").count(), 20);
}

/// Not a test of its own: what `config_file_survives_a_killed_writer` starts and kills.
#[test]
#[ignore = "started by another test"]
fn child_that_writes_in_a_loop() {
    let Some(path) = std::env::var_os("RENSEI_TEST_WRITE") else { return };
    let path = PathBuf::from(path);
    // Ends by itself should nobody kill it.
    for number in 0..20_000_u64 {
        update(&path, &[Edit::capacity("maxConcurrentSessions", number)]).unwrap();
        if number == 0 {
            println!("\nwriting");
        }
    }
}

#[test]
fn config_file_survives_a_killed_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    // Large, so that a write takes long enough to be hit.
    let rest = "# a comment that has to be there afterwards\n".repeat(400) + "unknown: [1, 2] # end\n";
    let name = "config::file::tests::child_that_writes_in_a_loop";
    for round in 0..25_u64 {
        fs::write(&path, format!("capacity:\n  maxConcurrentSessions: 77\n{rest}")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env("RENSEI_TEST_WRITE", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut said = String::new();
        while !said.contains("writing") {
            let mut byte = [0; 64];
            let read = stdout.read(&mut byte).unwrap();
            assert!(read > 0, "the child ended: {said}");
            said.push_str(&String::from_utf8_lossy(&byte[..read]));
        }
        // Another moment of a write each time; which one does not matter.
        std::thread::sleep(Duration::from_micros(round * 731));
        child.kill().unwrap();
        child.wait().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (head, tail) = text.split_at(text.find("\n# a comment").unwrap() + 1);
        assert_eq!(tail, rest, "old or new content, never a part");
        let number = head.strip_prefix("capacity:\n  maxConcurrentSessions: ").unwrap().trim();
        assert!(number.parse::<u64>().is_ok(), "{head}");
        assert!(update(&path, &[add("after")]).unwrap().is_some(), "the next writer is not in the way of the dead one");
    }
}
