//! What a comparison of two archives says.

use crate::trees::{Fixture, at, metadata};
use proptest::prelude::*;
use rensei_proto::control::{DiffEntry, DiffStatus, DiffSummary};
use rensei_workarea::{ArchiveError, ArchiveMetadata, Archives, Patch, patch};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn diff(archives: &Archives, a: &str, b: &str) -> Result<(DiffSummary, Vec<DiffEntry>), ArchiveError> {
    let mut entries = Vec::new();
    let summary = archives.diff(a, b, |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    })?;
    Ok((summary, entries))
}

/// A directory below the root of the archives, with a tree and no manifest: that is enough to be compared.
fn tree(fixture: &Fixture, id: &str) -> std::path::PathBuf {
    let tree = fixture.root.join(id).join("tree");
    fs::create_dir_all(&tree).unwrap();
    tree
}

#[test]
fn every_kind_of_difference_is_named_in_the_order_of_paths() {
    let fixture = Fixture::new();
    let (a, b) = (tree(&fixture, "a"), tree(&fixture, "b"));
    for side in [&a, &b] {
        fs::create_dir_all(side.join("d/.rensei")).unwrap();
        fs::create_dir_all(side.join(".rensei")).unwrap();
        fs::write(side.join("same"), "s").unwrap();
        symlink("x", side.join("link")).unwrap();
    }
    fs::write(a.join(".rensei/x"), "private").unwrap();
    fs::write(b.join("d/.rensei/y"), "nested").unwrap();
    fs::write(b.join("d-e"), "").unwrap();
    fs::write(a.join("gone"), "g").unwrap();
    fs::write(a.join("text"), "one").unwrap();
    fs::write(b.join("text"), "two").unwrap();
    fs::write(a.join("mode"), "m").unwrap();
    fs::write(b.join("mode"), "m").unwrap();
    fs::set_permissions(b.join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(a.join("turned"), "file").unwrap();
    fs::create_dir(b.join("turned")).unwrap();
    fs::write(b.join("turned/in"), "").unwrap();
    symlink("old", a.join("points")).unwrap();
    symlink("new", b.join("points")).unwrap();

    let (summary, entries) = diff(&fixture.archives, "a", "b").unwrap();
    let rows: Vec<(&str, DiffStatus)> = entries.iter().map(|entry| (entry.path.as_str(), entry.status)).collect();
    use DiffStatus::{Added, Modified, Removed};
    let expected = [
        ("d-e", Added),
        ("d/.rensei/y", Added),
        ("gone", Removed),
        ("mode", Modified),
        ("points", Modified),
        ("text", Modified),
        ("turned", Modified),
        ("turned/in", Added),
    ];
    assert_eq!(rows, expected);
    assert_eq!((summary.added, summary.removed, summary.modified, summary.total), (3, 1, 4, 8));
    assert_eq!((summary.workarea_a.as_str(), summary.workarea_b.as_str()), ("a", "b"));
    let text = &entries[5];
    assert_eq!((text.size_a, text.size_b, text.mode_a.as_str()), (3, 3, "-rw-r--r--"));
    assert_eq!(text.hash_a, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    let points = &entries[4];
    assert_eq!((points.mode_a.as_str(), points.hash_a.as_str(), points.hash_b.as_str()), ("Lrwxrwxrwx", "", ""));
    let turned = &entries[6];
    assert!(turned.mode_b.starts_with('d') && turned.hash_b.is_empty() && !turned.hash_a.is_empty());
}

#[test]
fn an_archive_does_not_differ_from_itself_and_needs_a_manifest_for_that() {
    let fixture = Fixture::new();
    tree(&fixture, "a");
    assert!(matches!(diff(&fixture.archives, "a", "a"), Err(ArchiveError::NotFound { .. })));
    fs::write(fixture.root.join("a/manifest.json"), "{").unwrap();
    assert!(matches!(diff(&fixture.archives, "a", "a"), Err(ArchiveError::Corrupted { .. })));
    fs::write(fixture.root.join("a/manifest.json"), "{}").unwrap();
    fs::remove_dir(fixture.root.join("a/tree")).unwrap();
    assert_eq!(diff(&fixture.archives, "a", "a").unwrap().0.total, 0);
    tree(&fixture, "b");
    for (a, b) in [("a", "b"), ("b", "a"), ("b", "absent")] {
        assert!(matches!(diff(&fixture.archives, a, b), Err(ArchiveError::NotFound { .. })), "{a} {b}");
    }
    assert!(matches!(diff(&fixture.archives, "b", ".."), Err(ArchiveError::InvalidId { .. })));
}

#[test]
fn a_comparison_ends_when_nobody_listens() {
    let fixture = Fixture::new();
    let (_a, b) = (tree(&fixture, "a"), tree(&fixture, "b"));
    for name in 0..3000 {
        fs::write(b.join(format!("{name:05}")), "x").unwrap();
    }
    let mut seen = 0;
    let summary = fixture.archives.diff("a", "b", |_entry| {
        seen += 1;
        if seen == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((seen, summary.unwrap().total), (10, 10));
}

#[test]
fn what_was_found_before_a_tree_fell_apart_is_right() {
    let fixture = Fixture::new();
    let (_a, b) = (tree(&fixture, "a"), tree(&fixture, "b"));
    for name in 0..3000 {
        fs::write(b.join(format!("{name:05}")), "x").unwrap();
    }
    fs::create_dir(b.join("zz")).unwrap();
    fs::write(b.join("zz/in"), "x").unwrap();
    let mut seen = Vec::new();
    let result = fixture.archives.diff("a", "b", |entry| {
        if seen.is_empty() {
            // While it is being compared.
            fs::remove_dir_all(b.join("zz")).unwrap();
        }
        seen.push(entry.path);
        ControlFlow::Continue(())
    });
    let Err(ArchiveError::Corrupted { id, reason }) = result else { panic!("{result:?}") };
    assert!(id == "b" && reason.contains("failed to"), "{reason}");
    let expected: Vec<String> = (0..3000).map(|name| format!("{name:05}")).chain(["zz".to_owned()]).collect();
    assert_eq!(seen, expected[..seen.len()]);
    assert!(seen.len() >= 2900);
}

#[test]
fn patches_show_text_and_nothing_else() {
    let fixture = Fixture::new();
    let (a, b) = (tree(&fixture, "a"), tree(&fixture, "b"));
    fs::write(a.join("text"), "one\ntwo\n").unwrap();
    fs::write(b.join("text"), "one\n2\n").unwrap();
    fs::write(b.join("new"), "n\n").unwrap();
    fs::write(a.join("binary"), b"\0\x01").unwrap();
    fs::write(b.join("binary"), b"\0\x02").unwrap();
    fs::write(b.join("large"), "x".repeat(2 << 20)).unwrap();
    fs::write(b.join(OsStr::from_bytes(b"b\xffd")), "odd\n").unwrap();
    symlink("/etc/passwd", b.join("link")).unwrap();
    let (_, entries) = diff(&fixture.archives, "a", "b").unwrap();
    let patches: BTreeMap<String, Patch> =
        entries.iter().map(|entry| (entry.path.clone(), patch(&a, &b, entry).unwrap())).collect();
    assert_eq!(patches["text"], Patch::Text("--- a/text\n+++ b/text\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n".to_owned()));
    assert_eq!(patches["new"], Patch::Text("--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+n\n".to_owned()));
    assert!(matches!(&patches["b\u{fffd}d"], Patch::Text(text) if text.contains("+odd")));
    assert_eq!(
        (&patches["binary"], &patches["large"], &patches["link"]),
        (&Patch::Binary, &Patch::TooLarge, &Patch::Nothing)
    );
}

/// The simplest description of a tree: path to mode, size, hash and target.
type Model = BTreeMap<Vec<u8>, (String, u64, String, Vec<u8>)>;

fn model(dir: &Path, prefix: &[u8], found: &mut Model) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if prefix.is_empty() && name == ".rensei" {
            continue;
        }
        let path = [prefix, name.as_bytes()].concat();
        let stat = fs::symlink_metadata(entry.path()).unwrap();
        let kind = if stat.is_dir() {
            "d"
        } else if stat.is_symlink() {
            "L"
        } else {
            "-"
        };
        let bits = ["---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx"];
        let digit = |shift: u32| bits[(stat.mode() >> shift & 7) as usize];
        let mode = format!("{kind}{}{}{}", digit(6), digit(3), digit(0));
        let target = if stat.is_symlink() {
            fs::read_link(entry.path()).unwrap().as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let hash = if stat.is_file() {
            format!("{:x}", Sha256::digest(fs::read(entry.path()).unwrap()))
        } else {
            String::new()
        };
        found.insert(path.clone(), (mode, stat.size(), hash, target));
        if stat.is_dir() {
            model(&entry.path(), &[&path, b"/".as_slice()].concat(), found);
        }
    }
}

/// Path, status, modes and hashes, sizes.
type Row = (Vec<u8>, DiffStatus, [String; 4], [u64; 2]);

fn expected(a: &Path, b: &Path) -> Vec<Row> {
    let (mut in_a, mut in_b) = (Model::new(), Model::new());
    model(a, b"", &mut in_a);
    model(b, b"", &mut in_b);
    let paths: std::collections::BTreeSet<&Vec<u8>> = in_a.keys().chain(in_b.keys()).collect();
    let differing = paths.into_iter().filter_map(|path| {
        let (a, b) = (in_a.get(path), in_b.get(path));
        let status = match (a, b) {
            (Some(a), Some(b)) if a.0.starts_with('d') && a.0 == b.0 => return None,
            (Some(a), Some(b)) if a == b => return None,
            (None, _) => DiffStatus::Added,
            (_, None) => DiffStatus::Removed,
            _ => DiffStatus::Modified,
        };
        let (a, b) = (a.cloned().unwrap_or_default(), b.cloned().unwrap_or_default());
        Some((path.clone(), status, [a.0, b.0, a.2, b.2], [a.1, b.1]))
    });
    differing.collect()
}

/// What is put at a path: a file of some content and mode, a link, or a directory.
fn plant(root: &Path, path: &[usize], what: u8) {
    const NAMES: [&[u8]; 7] = [b"a", b"a-b", b"a.c", b"b", b".rensei", b"\xff", b"a\xc3"];
    let names: Vec<&[u8]> = path.iter().map(|index| NAMES[index % NAMES.len()]).collect();
    let path = root.join(OsStr::from_bytes(&names.join(&b'/')));
    // What does not fit what is there already is left out.
    if fs::create_dir_all(path.parent().unwrap()).is_err() || fs::symlink_metadata(&path).is_ok() {
        return;
    }
    match what % 6 {
        0 => fs::create_dir(&path).unwrap(),
        1 => symlink("t1", &path).unwrap(),
        2 => symlink("t2", &path).unwrap(),
        kind => {
            fs::write(&path, if kind == 5 { "two" } else { "one" }).unwrap();
            let mode = if kind == 4 { 0o600 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn a_comparison_says_what_a_naive_one_says(
        common in prop::collection::vec((prop::collection::vec(0_usize..7, 1..4), 0_u8..6), 0..12),
        only_a in prop::collection::vec((prop::collection::vec(0_usize..7, 1..4), 0_u8..6), 0..6),
        only_b in prop::collection::vec((prop::collection::vec(0_usize..7, 1..4), 0_u8..6), 0..6),
    ) {
        let fixture = Fixture::new();
        let (a, b) = (tree(&fixture, "a"), tree(&fixture, "b"));
        only_a.iter().chain(&common).for_each(|(path, what)| plant(&a, path, *what));
        only_b.iter().chain(&common).for_each(|(path, what)| plant(&b, path, *what));
        let (summary, entries) = diff(&fixture.archives, "a", "b").unwrap();
        let expected = expected(&a, &b);
        prop_assert_eq!(summary.total as usize, entries.len());
        let found: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let path = entry.path_escaped.map_or(entry.path.into_bytes(), |text| unescape(&text));
                (path, entry.status, [entry.mode_a, entry.mode_b, entry.hash_a, entry.hash_b], [entry.size_a, entry.size_b])
            })
            .collect();
        prop_assert_eq!(found, expected);
    }
}

/// The names here have no backslash.
fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut path = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        path.push(u8::from_str_radix(&part[..2], 16).unwrap());
        path.extend(&part.as_bytes()[2..]);
    }
    path
}

#[test]
fn archives_of_the_same_workarea_are_equal() {
    let fixture = Fixture::new();
    let source = fixture.source();
    fs::create_dir_all(source.join("d/e")).unwrap();
    fs::write(source.join("d/e/f"), vec![7; 300_000]).unwrap();
    fs::set_permissions(source.join("d/e"), fs::Permissions::from_mode(0o2711)).unwrap();
    let first = fixture.archives.create(&source, &metadata("s1")).unwrap().id;
    fs::write(source.join("d/e/f"), [vec![7; 299_999], vec![8]].concat()).unwrap();
    let second = fixture.archives.create(&source, &ArchiveMetadata { created_at: at(1), ..metadata("s1") }).unwrap().id;
    let (summary, entries) = diff(&fixture.archives, &first, &second).unwrap();
    assert_eq!((summary.total, entries[0].path.as_str()), (1, "d/e/f"));
    fs::remove_file(source.join("d/e/f")).unwrap();
    fs::write(source.join("d/e/f"), [vec![7; 299_999], vec![8]].concat()).unwrap();
    let third = fixture.archives.create(&source, &ArchiveMetadata { created_at: at(2), ..metadata("s1") }).unwrap().id;
    assert_eq!(diff(&fixture.archives, &second, &third).unwrap().0.total, 0);
}
