//! Killed at any moment, by SIGKILL and without a chance to tidy up.

use crate::trees::{self, metadata};
use rensei_proto::control::RestoreRequest;
use rensei_workarea::{Archives, RestoreContext};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Rounds of each test; each kills one process.
const ROUNDS: u64 = 60;
/// Names the place to the process that is killed, and what it does there.
const PLACE: &str = "RENSEI_TEST_PLACE";
const TASK: &str = "RENSEI_TEST_TASK";
/// Files of a workarea.
const FILES: usize = 60;

fn archives(place: &Path) -> Archives {
    Archives::retaining(&place.join("workareas"), &place.join("retained"))
}

/// A workarea, complete from the moment that it has its name.
fn make(place: &Path, session: &str) -> PathBuf {
    let (building, path) = (place.join("half"), place.join("work").join(session));
    let _ = fs::remove_dir_all(&building);
    for number in 0..FILES {
        let file = building.join(format!("d{}/f{number}", number % 5));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, session.repeat(200)).unwrap();
    }
    fs::create_dir_all(place.join("work")).unwrap();
    fs::rename(building, &path).unwrap();
    path
}

fn is_whole(tree: &Path, session: &str) -> bool {
    let files: Vec<_> = (0..FILES).map(|number| tree.join(format!("d{}/f{number}", number % 5))).collect();
    files.iter().all(|file| fs::read_to_string(file).is_ok_and(|text| text == session.repeat(200)))
}

fn note(place: &Path, file: &str, line: &str) {
    let mut file = fs::File::options().append(true).create(true).open(place.join(file)).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn noted(place: &Path, file: &str) -> BTreeSet<String> {
    fs::read_to_string(place.join(file)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// What the killed process does, over and over.
#[test]
fn victim() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let archives = archives(&place);
    println!("ready");
    match std::env::var(TASK).unwrap().as_str() {
        "archive" => archive_for_ever(&place, &archives),
        _ => restore_for_ever(&place, &archives),
    }
}

fn archive_for_ever(place: &Path, archives: &Archives) {
    for number in 0.. {
        let session = format!("s{}-{number}", std::process::id());
        let path = make(place, &session);
        note(place, "made", &session);
        let moved = |to: &Path| {
            fs::rename(&path, to).unwrap();
            Ok(true)
        };
        let retained = archives.retain(&metadata(&session), moved).unwrap().unwrap();
        let archive = archives.settle(&retained).unwrap().id;
        if number % 3 == 2 {
            note(place, "gone", &session);
            assert_eq!(archives.remove(&[archive], false).removed.len(), 1);
        }
    }
}

fn restore_for_ever(place: &Path, archives: &Archives) {
    for number in 0_u64.. {
        let into = (number % 2 == 0).then(|| format!("r{}-{number}", std::process::id()));
        let request = RestoreRequest { into_session_id: into, ..RestoreRequest::default() };
        let context = RestoreContext { saturated: &|| None, is_live: &|_| false, now: jiff::Timestamp::now() };
        let restored = archives.restore("s0-20260102T030405Z", &request, &context).unwrap();
        note(place, "restored", &restored.id);
        if number % 2 == 1 {
            note(place, "gone", &restored.id);
            assert_eq!(archives.remove(&[restored.id], false).removed.len(), 1);
        }
    }
}

fn kill_one(place: &Path, task: &str, round: u64) {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::victim", "--nocapture"])
        .env(PLACE, place)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("ready")), "the victim did not start");
    // Any moment will do: what is tested is that it does not matter which.
    std::thread::sleep(Duration::from_micros(round * 7919 % 20_000));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success() && status.code().is_none(), "the victim failed by itself: {status}");
}

/// The archives as the next process finds them, when it has swept.
fn reopened(place: &Path) -> Archives {
    let archives = archives(place);
    let dirs = ["workareas", "workareas-restored", "retained"].map(|name| place.join(name));
    // Hidden: begun or being deleted. A note beside nothing: the workarea did not come to it any more.
    let is_swept = |entry: &fs::DirEntry| {
        let path = entry.path();
        let noted = path.extension().is_some_and(|extension| extension == "json").then(|| path.with_extension(""));
        entry.file_name().as_encoded_bytes().starts_with(b".") || noted.is_some_and(|workarea| !workarea.exists())
    };
    let swept = |dir: &PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().filter(is_swept).count();
    while dirs.iter().map(swept).sum::<usize>() > 0 {
        std::thread::yield_now();
    }
    archives
}

#[test]
fn a_killed_archiver_loses_nothing_and_archives_nothing_twice() {
    let dir = trees::scratch();
    let place = dir.path();
    fs::create_dir(place.join("retained")).unwrap();
    let mut interrupted = 0;
    for round in 0..ROUNDS {
        kill_one(place, "archive", round);
        let archives = reopened(place);
        for row in archives.list().unwrap() {
            assert!(!row.disposition.starts_with("corrupted"), "round {round}: {row:?}");
            assert!(is_whole(&archives.root().join(&row.id).join("tree"), &row.session_id), "round {round}: {row:?}");
        }
        for row in archives.retained().unwrap() {
            interrupted += 1;
            assert!(is_whole(&archives.retained_root().join(&row.id), &row.session_id), "round {round}: {row:?}");
        }
        archives.settle_all(std::time::Instant::now());
        assert_eq!(fs::read_dir(archives.retained_root()).unwrap().count(), 0, "round {round}");
        let mut count = BTreeMap::<String, usize>::new();
        for row in archives.list().unwrap() {
            *count.entry(row.session_id).or_default() += 1;
        }
        assert!(count.values().all(|number| *number == 1), "round {round}: archived twice: {count:?}");
        for session in noted(place, "made").difference(&noted(place, "gone")) {
            let source = place.join("work").join(session);
            assert!(count.contains_key(session) != source.exists(), "round {round}: {session} is lost, or here twice");
            assert!(!source.exists() || is_whole(&source, session), "round {round}: {session} is damaged");
        }
        let everything: Vec<String> = archives.list().unwrap().into_iter().map(|row| row.id).collect();
        assert!(archives.remove(&everything, false).skipped.is_empty());
        fs::remove_dir_all(place.join("work")).unwrap_or_default();
        ["made", "gone"].iter().for_each(|file| fs::write(place.join(file), "").unwrap());
    }
    assert!(interrupted > ROUNDS / 10, "only {interrupted} of {ROUNDS} were killed while they archived");
}

#[test]
fn a_killed_restore_is_whole_or_not_there() {
    let dir = trees::scratch();
    let place = dir.path();
    let source = make(place, "s0");
    let archive = archives(place).create(&source, &metadata("s0")).unwrap().id;
    let before = trees::snapshot(&place.join("workareas").join(&archive));
    let mut half = 0;
    for round in 0..ROUNDS {
        kill_one(place, "restore", round);
        let unfinished = fs::read_dir(place.join("workareas-restored")).into_iter().flatten().flatten();
        half += unfinished.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")).count();
        let archives = reopened(place);
        let rows = archives.restored().unwrap();
        let restored: BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        for id in &restored {
            assert!(
                is_whole(Path::new(&archives.get_restored(id).unwrap().path), "s0"),
                "round {round}: {id} is half a one"
            );
        }
        let (answered, gone) = (noted(place, "restored"), noted(place, "gone"));
        assert!(answered.difference(&gone).all(|id| restored.contains(id)), "round {round}: one is lost");
        assert!(
            restored.difference(&answered).count() <= 1,
            "round {round}: only the last one may be unknown to its owner"
        );
        // A workarea and its note, and nothing else.
        let expected: BTreeSet<String> = restored.iter().flat_map(|id| [id.clone(), format!("{id}.json")]).collect();
        let entries = fs::read_dir(archives.restored_root()).into_iter().flatten().flatten();
        let names: BTreeSet<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert_eq!(names, expected, "round {round}");
        assert!(archives.remove(&restored.into_iter().collect::<Vec<_>>(), false).skipped.is_empty());
        ["restored", "gone"].iter().for_each(|file| fs::write(place.join(file), "").unwrap());
    }
    assert!(half > 5, "only {half} of {ROUNDS} were killed while they restored");
    assert_eq!(trees::snapshot(&place.join("workareas").join(&archive)), before, "an archive never changes");
}
