//! Mirrors that have become many small files are packed again, and nothing is lost by it.
//!
//! This is done beside the mirror, in a repository of links to its files, so that whoever is killed leaves nothing but
//! something to be swept. What comes of it is added to the mirror at once; what it replaces stays for a while, because who
//! has opened the mirror before may not look for new files. No object is ever left out, whether or not a reference leads to
//! it: checkouts borrow them all.

use super::replaced::Replaced;
use super::{Mirror, MirrorLock, lock, salvage};
use crate::git::{GitCall, GitEnvironment, GitFailure, GitHints, GitImplementation, classify};
use crate::{WorkareaError, local, pool, scratch};
use git2::{Oid, Repository, RepositoryInitOptions};
use rensei_process::End;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// More packs, or more objects in files of their own, are too many; as git itself has it.
const MAX_PACKS: usize = 50;
const MAX_LOOSE: usize = 6700;
/// How long a mirror is left alone that could not be packed again.
const REST: Duration = Duration::from_secs(3600);
/// Longest that git may take for it, at the lowest priority.
const TIME_LIMIT: Duration = Duration::from_secs(6 * 3600);
/// Exit code of a git that does not know an option: before 2.32 it knows no `--geometric`.
const USAGE: i32 = 129;
/// Bytes of packs, and of objects in files of their own, that are put together at once without git.
const MAX_COMBINED: u64 = 64 << 20;
/// Extensions of the files of a pack, in the order in which they may appear.
const PARTS: [&str; 3] = ["pack", "rev", "idx"];

/// Puts packs together so that each has at least twice as many objects as the next one, in bounded memory.
const REPACK: [&str; 14] = [
    "-c",
    "pack.threads=1",
    "-c",
    "pack.windowMemory=64m",
    "-c",
    "pack.deltaCacheSize=32m",
    "-c",
    "pack.packSizeLimit=0",
    "repack",
    "-q",
    "-d",
    "-n",
    "--no-write-bitmap-index",
    "--geometric=2",
];

/// How far the care of a mirror has come.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    replaced: Option<Replaced>,
    rests_until: Option<Instant>,
}

impl Upkeep {
    /// As an earlier process left it.
    pub(super) fn of(mirror: &Path) -> Self {
        Self { replaced: Replaced::read(mirror), rests_until: None }
    }
}

/// Whole files in a directory of objects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stock {
    /// Names of packs, without an extension.
    pub(super) packs: BTreeSet<String>,
    #[serde(serialize_with = "write_ids", deserialize_with = "read_ids")]
    loose: BTreeSet<Oid>,
}

fn write_ids<S: Serializer>(ids: &BTreeSet<Oid>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(Oid::to_string))
}

fn read_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Oid>, D::Error> {
    let ids = Vec::<String>::deserialize(deserializer)?;
    ids.iter().map(|id| Oid::from_str(id).map_err(D::Error::custom)).collect()
}

impl Mirror {
    /// Whether there is something to do for [`keep_up`](Self::keep_up); without room for more, whether something can go.
    pub(crate) fn needs_upkeep(&self, now: Instant, has_room: bool) -> bool {
        let upkeep = self.upkeep();
        if upkeep.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        match &upkeep.replaced {
            Some(replaced) => replaced.is_past(now),
            None => has_room && is_crowded(&self.objects()),
        }
    }

    /// Packs the mirror again, or removes what was replaced by that a while ago. Blocks for as long as that takes.
    pub(crate) async fn keep_up(&self, now: Instant) -> Result<(), WorkareaError> {
        let replaced = self.upkeep().replaced.take();
        let done = match replaced {
            Some(replaced) => self.remove_replaced(replaced, self.git.time_limit).await,
            None => self.repack(now).await,
        };
        if done.is_err() {
            self.upkeep().rests_until = now.checked_add(REST);
        }
        done
    }

    /// Removes what was replaced without delay if `quiet` says that nobody has the mirror open, or else if it is time;
    /// whether something went. Not while somebody changes the mirror.
    pub(crate) async fn drop_replaced(&self, now: Instant, quiet: bool) -> bool {
        let Some(replaced) = self.upkeep().replaced.take_if(|replaced| quiet || replaced.is_past(now)) else {
            return false;
        };
        self.remove_replaced(replaced, Duration::ZERO).await.is_ok()
    }

    async fn repack(&self, now: Instant) -> Result<(), WorkareaError> {
        let repos = self.dir.parent().unwrap_or(Path::new("/"));
        let shadow = scratch::building(repos);
        let packing = MirrorLock::acquire(&lock::packing(repos), Duration::ZERO).await?;
        let packed = self.repack_in(&shadow, &packing, now).await;
        let removed = scratch::remove(&shadow).map_err(|error| WorkareaError::io("delete", &shadow, error));
        packed.and(removed)
    }

    async fn repack_in(&self, shadow: &Path, packing: &MirrorLock, now: Instant) -> Result<(), WorkareaError> {
        let generation = self.generation();
        let before = self.put_together(shadow, packing).await?;
        let lock = self.lock().await?;
        if self.generation() != generation {
            // It was made anew, and is not crowded any more.
            return Ok(());
        }
        let after = Stock::of(&shadow.join("objects"));
        let old = Stock { packs: &before.packs - &after.packs, loose: &before.loose - &after.loose };
        let new = &after.packs - &before.packs;
        let replaced = Replaced { generation, old, by: after.packs, since: now };
        replaced.write(&self.dir)?;
        // Who is killed leaves a pack without an index.
        lock.note_own_work();
        let added = add(&new, &shadow.join("objects"), &self.objects());
        added.map_err(|error| WorkareaError::io("add packs to", &self.dir, error))?;
        lock.clear();
        let (mirror, packs, loose) = (self.dir.display(), replaced.old.packs.len(), replaced.old.loose.len());
        tracing::info!(event = "mirror-packed", %mirror, packs, loose, "a mirror was packed again");
        self.upkeep().replaced = Some(replaced);
        Ok(())
    }

    /// Makes a repository with files of the mirror and packs it; what it had before.
    async fn put_together(&self, shadow: &Path, packing: &MirrorLock) -> Result<Stock, WorkareaError> {
        let all = Stock::of(&self.objects());
        if matches!(self.git.implementation(), GitImplementation::Executable(_)) && self.has_room_for(&all) {
            let stock = self.link(all, shadow)?;
            let git = GitEnvironment { time_limit: TIME_LIMIT, ..self.git.clone() };
            let call = GitCall { git: &git, hints: &GitHints::default(), git_dir: shadow, url: "" };
            let packed = call.run(&REPACK, |process| packing.note(process)).await;
            packing.clear();
            match packed {
                Ok(_) => return Ok(stock),
                Err(GitFailure::Exit { end: End::Exited(USAGE), .. }) => {}
                Err(failure) => return Err(classify("pack again", &self.dir.display().to_string(), &failure)),
            }
            scratch::remove(shadow).map_err(|error| WorkareaError::io("delete", shadow, error))?;
        }
        let stock = self.link(Stock::small(&self.objects()), shadow)?;
        let packed = combine(shadow, &stock, &self.git);
        packed.map(|()| stock).map_err(|error| WorkareaError::local("pack a mirror again", &error))
    }

    /// Makes a repository of these files of the mirror.
    fn link(&self, stock: Stock, shadow: &Path) -> Result<Stock, WorkareaError> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).mkpath(true);
        Repository::init_opts(shadow, &options)
            .map_err(|error| WorkareaError::local("make a place to pack a mirror", &error))?;
        let linked = stock.link(&self.objects(), &shadow.join("objects"));
        linked.map(|()| stock).map_err(|error| WorkareaError::io("link the files of", &self.dir, error))
    }

    /// Whether everything may be packed anew at once: then as much is free afterwards as that takes.
    fn has_room_for(&self, all: &Stock) -> bool {
        let bytes = all.bytes(&self.objects()).saturating_mul(2);
        pool::Room::of(&self.dir).is_ok_and(|room| room.has(bytes))
    }

    /// If the mirror still has what replaced it. What cannot be removed now is remembered.
    async fn remove_replaced(&self, replaced: Replaced, patience: Duration) -> Result<(), WorkareaError> {
        let removed = self.remove_files(&replaced, patience).await;
        match &removed {
            Ok(()) => Replaced::forget(&self.dir),
            Err(_) => self.upkeep().replaced = Some(replaced),
        }
        removed
    }

    async fn remove_files(&self, replaced: &Replaced, patience: Duration) -> Result<(), WorkareaError> {
        let lock = MirrorLock::acquire(&self.dir, patience).await?;
        let there = Stock::of(&self.objects()).packs;
        if self.generation() != replaced.generation || !replaced.by.is_subset(&there) {
            return Ok(());
        }
        lock.note_own_work();
        let removed = replaced.old.remove(&self.objects());
        removed.map_err(|error| WorkareaError::io("remove old packs of", &self.dir, error))?;
        lock.clear();
        Ok(())
    }

    fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    fn upkeep(&self) -> MutexGuard<'_, Upkeep> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    fn of(objects: &Path) -> Self {
        let files: BTreeSet<PathBuf> = salvage::entries(&objects.join("pack")).into_iter().collect();
        let whole = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "idx"));
        let whole = whole.filter(|path| files.contains(&path.with_extension("pack")));
        let names = whole.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        Self { packs: names.collect(), loose: salvage::loose(objects).into_iter().collect() }
    }

    /// Bytes of them.
    fn bytes(&self, objects: &Path) -> u64 {
        let packs = self.packs.iter().map(|pack| part(objects, pack, "pack"));
        let loose = self.loose.iter().map(|id| salvage::loose_path(objects, *id));
        packs.chain(loose).filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// The smallest of them, for libgit2, which keeps in memory what it packs.
    fn small(objects: &Path) -> Self {
        let all = Self::of(objects);
        let size = |path: &Path| std::fs::metadata(path).map_or(u64::MAX, |metadata| metadata.len());
        let mut packs: Vec<_> = all.packs.into_iter().map(|pack| (size(&part(objects, &pack, "pack")), pack)).collect();
        packs.sort();
        let loose = all.loose.into_iter().map(|id| (size(&salvage::loose_path(objects, id)), id));
        Self { packs: within_bounds(packs), loose: within_bounds(loose) }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        for pack in &self.packs {
            for extension in PARTS {
                if_any(std::fs::hard_link(part(from, pack, extension), part(to, pack, extension)))?;
            }
        }
        for id in &self.loose {
            let path = salvage::loose_path(to, *id);
            std::fs::create_dir_all(path.parent().unwrap_or(to))?;
            if_any(std::fs::hard_link(salvage::loose_path(from, *id), path))?;
        }
        Ok(())
    }

    fn remove(&self, objects: &Path) -> io::Result<()> {
        for pack in &self.packs {
            // Without an index nobody looks for the rest.
            for extension in PARTS.into_iter().rev().chain(["keep", "bitmap"]) {
                if_any(std::fs::remove_file(part(objects, pack, extension)))?;
            }
        }
        self.loose.iter().try_for_each(|id| if_any(std::fs::remove_file(salvage::loose_path(objects, *id))))
    }
}

fn is_crowded(objects: &Path) -> bool {
    let packs = salvage::entries(&objects.join("pack"));
    let packs = packs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "pack")).count();
    // Ids are spread evenly.
    packs > MAX_PACKS || salvage::entries(&objects.join("17")).len() > MAX_LOOSE / 256
}

/// As many from the beginning as may be put together, given with their sizes.
fn within_bounds<T: Ord>(sized: impl IntoIterator<Item = (u64, T)>) -> BTreeSet<T> {
    let mut total = 0_u64;
    let fits = |(size, _): &(u64, T)| {
        total = total.saturating_add(*size);
        total <= MAX_COMBINED
    };
    sized.into_iter().take_while(fits).map(|(_, one)| one).collect()
}

/// Puts everything together, without git.
fn combine(shadow: &Path, stock: &Stock, git: &GitEnvironment) -> Result<(), git2::Error> {
    if stock.packs.len() + stock.loose.len() < 2 {
        return Ok(());
    }
    let repository = local::open_bare(shadow, git)?;
    let mut ids = Vec::new();
    repository.odb()?.foreach(|id| {
        ids.push(*id);
        true
    })?;
    let mut pack = repository.packbuilder()?;
    pack.set_threads(1);
    ids.iter().try_for_each(|id| pack.insert_object(*id, None))?;
    let objects = shadow.join("objects");
    pack.write(&objects.join("pack"), salvage::READ_ONLY)?;
    if Stock::of(&objects).packs == stock.packs {
        // One of them had all there is.
        return Ok(());
    }
    stock.remove(&objects).map_err(|error| git2::Error::from_str(&error.to_string()))
}

/// Adds packs to a mirror, whole.
fn add(packs: &BTreeSet<String>, from: &Path, to: &Path) -> io::Result<()> {
    for pack in packs {
        for extension in PARTS {
            let file = part(from, pack, extension);
            if_any(File::open(&file).and_then(|file| file.sync_all()))?;
            match std::fs::hard_link(&file, part(to, pack, extension)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => if_any(linked)?,
            }
        }
    }
    File::open(to.join("pack"))?.sync_all()
}

fn part(objects: &Path, pack: &str, extension: &str) -> PathBuf {
    objects.join("pack").join(format!("{pack}.{extension}"))
}

/// That there is no such file is no error.
fn if_any(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alternates::lend;
    use crate::mirror::replaced::STAYS;
    use crate::mirror::{remove_stale_locks, with_replaced};
    use crate::network::Upstream;
    use crate::repository::Repository as Place;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;

    /// Rounds of the test that kills.
    const ROUNDS: u64 = 40;
    /// Names the directory to the process that is killed.
    const VICTIM: &str = "RENSEI_TEST_PACKER";

    /// A remote whose history is written anew all the time, its mirror, and a checkout that borrows all that ever was there.
    struct Fixture {
        dir: PathBuf,
        mirror: Arc<Mirror>,
        upstream: Upstream,
    }

    impl Fixture {
        fn new(dir: &Path, program: &str) -> Self {
            let config = dir.join("gitconfig");
            // Every fetch makes a pack, as large ones do.
            std::fs::write(&config, "[fetch]\n\tunpackLimit = 1\n").unwrap();
            let variables = [("PATH", std::env::var_os("PATH").unwrap()), ("GIT_CONFIG_GLOBAL", config.into())];
            let env = variables.into_iter().map(|(name, value)| (name.into(), value)).collect();
            let git = GitEnvironment { program: program.into(), ..GitEnvironment::new(env) };
            let mirror = Arc::new(Mirror::new(dir.join("repos/r-1"), git));
            Repository::init_bare(dir.join("remote")).unwrap();
            Repository::init_bare(dir.join("checkout")).unwrap();
            lend(&dir.join("repos/r-1"), &dir.join("checkout")).unwrap();
            let repository = Place::parse(dir.join("remote").to_str().unwrap()).unwrap();
            Self { dir: dir.to_owned(), mirror, upstream: Upstream { repository, hints: GitHints::default() } }
        }

        /// Lets the remote forget what was there, and the checkout remember it.
        async fn rewrite(&self, number: u64) {
            // Of somebody who was killed.
            ["remote", "checkout"].into_iter().for_each(|name| remove_stale_locks(&self.dir.join(name)));
            {
                let remote = Repository::open_bare(self.dir.join("remote")).unwrap();
                let who = git2::Signature::now("t", "t@example.invalid").unwrap();
                let mut tree = remote.treebuilder(None).unwrap();
                tree.insert("file", remote.blob(&number.to_le_bytes()).unwrap(), 0o100_644).unwrap();
                let tree = remote.find_tree(tree.write().unwrap()).unwrap();
                let commit = remote.commit(None, &who, &who, &format!("{number}"), &tree, &[]).unwrap();
                remote.reference("refs/heads/main", commit, true, "").unwrap();
            }
            let (start, _) = self.mirror.locate(&self.upstream, "main").await.unwrap();
            let crate::mirror::Start::Commit { id, .. } = start else { panic!("no commit") };
            let checkout = Repository::open_bare(self.dir.join("checkout")).unwrap();
            checkout.reference(&format!("refs/kept/{id}"), id, true, "").unwrap();
        }

        /// Asks git, which knows no mercy.
        fn assert_whole(&self, what: &str) {
            let mut fsck = Command::new("git");
            fsck.arg("-C").arg(self.dir.join("checkout")).args(["fsck", "--full", "--strict", "--no-dangling"]);
            let said = fsck.output().unwrap();
            assert!(said.status.success(), "{what}: {}", String::from_utf8_lossy(&said.stderr));
        }

        fn packs(&self) -> usize {
            Stock::of(&self.mirror.objects()).packs.len()
        }
    }

    async fn pack_again(program: &str) {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(dir.path(), program);
        let now = Instant::now();
        for number in 0..=MAX_PACKS as u64 {
            assert!(!fixture.mirror.needs_upkeep(now, true), "{number}");
            fixture.rewrite(number).await;
        }
        assert!(fixture.mirror.needs_upkeep(now, true) && !fixture.mirror.needs_upkeep(now, false));
        // Who has the mirror open finds everything where it was.
        let reader = Repository::open_bare(fixture.mirror.dir()).unwrap();
        let mut ids = Vec::new();
        let known = |id: &Oid| {
            ids.push(*id);
            true
        };
        reader.odb().unwrap().foreach(known).unwrap();
        fixture.mirror.keep_up(now).await.unwrap();
        let crowded = fixture.packs();
        assert!(crowded > MAX_PACKS + 1);
        assert!(ids.iter().all(|id| reader.find_object(*id, None).is_ok()));
        let later = now + STAYS;
        assert!(
            !fixture.mirror.needs_upkeep(later - Duration::from_secs(1), true)
                && fixture.mirror.needs_upkeep(later, true)
        );
        assert!(fixture.mirror.needs_upkeep(later, false), "it makes room");
        // A host that was started again knows it, too, and an hour later it is time there.
        let again = Mirror::new(fixture.mirror.dir().to_owned(), fixture.mirror.git.clone());
        let started = Instant::now();
        assert!(!again.needs_upkeep(started, true) && again.needs_upkeep(started + 2 * STAYS, false));
        assert_eq!(with_replaced(&dir.path().join("repos")), ["r-1"]);
        fixture.rewrite(1000).await;
        fixture.mirror.keep_up(later).await.unwrap();
        assert!(fixture.packs() < 4, "{} of {crowded}", fixture.packs());
        assert!(!fixture.mirror.needs_upkeep(later, true));
        fixture.assert_whole(program);
        assert!(ids.len() > 3 * MAX_PACKS && ids.iter().all(|id| reader.find_object(*id, None).is_ok()));
        let left = salvage::entries(&dir.path().join("repos"));
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[tokio::test]
    async fn a_mirror_stays_small_and_whatever_checkouts_borrow_stays_in_it() {
        pack_again("git").await;
        pack_again("no-git-on-this-machine").await;
    }

    #[tokio::test]
    async fn what_was_replaced_goes_after_a_restart_and_before_its_time_only_when_nobody_uses_the_mirror() {
        for quiet in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let fixture = Fixture::new(dir.path(), "git");
            for number in 0..3 {
                fixture.rewrite(number).await;
            }
            fixture.mirror.keep_up(Instant::now()).await.unwrap();
            assert_eq!(fixture.packs(), 4);
            let again = Mirror::new(fixture.mirror.dir().to_owned(), fixture.mirror.git.clone());
            let now = Instant::now() + if quiet { Duration::ZERO } else { STAYS };
            assert!(!again.drop_replaced(Instant::now(), false).await);
            let busy = again.lock().await.unwrap();
            assert!(!again.drop_replaced(now, quiet).await && fixture.packs() == 4, "somebody changes it");
            drop(busy);
            assert!(again.drop_replaced(now, quiet).await && fixture.packs() == 1);
            assert!(!again.drop_replaced(now, quiet).await && with_replaced(&dir.path().join("repos")).is_empty());
            fixture.assert_whole("git");
        }
    }

    #[tokio::test]
    async fn a_note_that_leads_out_of_the_mirror_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(dir.path(), "git");
        fixture.rewrite(0).await;
        let note = |pack: &str| {
            let text = serde_json::json!({"generation": fixture.mirror.generation(), "by": [],
                "old": {"packs": [pack], "loose": []}});
            std::fs::write(dir.path().join("repos/r-1.replaced"), text.to_string()).unwrap();
            Replaced::read(fixture.mirror.dir()).is_some()
        };
        assert!(note("pack-0a") && !note("../../../precious") && !note("pack-/../../x"));
    }

    #[tokio::test]
    async fn a_mirror_that_is_larger_than_the_room_that_is_left_is_not_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("git");
        let script = "#!/bin/sh\ncase \" $* \" in *' repack '*) exit 1;; esac\nexec git \"$@\"\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let fixture = Fixture::new(dir.path(), program.to_str().unwrap());
        for number in 0..3 {
            fixture.rewrite(number).await;
        }
        fixture.mirror.keep_up(Instant::now()).await.unwrap_err();
        // Takes no room, and looks as if there were not enough.
        let huge = ["pack", "idx"].map(|extension| part(&fixture.mirror.objects(), "pack-0", extension));
        huge.iter().for_each(|path| drop(File::create(path).unwrap()));
        File::options().write(true).open(&huge[0]).unwrap().set_len(1 << 43).unwrap();
        fixture.mirror.keep_up(Instant::now()).await.unwrap();
        huge.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        assert!(fixture.mirror.drop_replaced(Instant::now(), true).await);
        assert_eq!(fixture.packs(), 1, "the small ones are put together all the same");
        fixture.assert_whole("without git");
    }

    #[tokio::test]
    async fn a_git_that_is_too_old_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("git");
        std::fs::write(&old, "#!/bin/sh\ncase \" $* \" in *' repack '*) exit 129;; esac\nexec git \"$@\"\n").unwrap();
        std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        pack_again(old.to_str().unwrap()).await;
    }

    #[tokio::test]
    async fn the_git_that_packs_is_noted_and_goes_with_who_gave_up_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let (program, told) = (dir.path().join("git"), dir.path().join("told"));
        let stays = format!("echo > '{}'; exec sleep 600", told.display());
        let script = format!("#!/bin/sh\ncase \" $* \" in *' repack '*) {stays};; esac\nexec git \"$@\"\n");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let fixture = Fixture::new(dir.path(), program.to_str().unwrap());
        fixture.rewrite(0).await;
        tokio::select! {
            done = fixture.mirror.keep_up(Instant::now()) => panic!("{done:?}"),
            () = until("git", || told.exists()) => {}
        }
        let note = std::fs::read(dir.path().join("repos/packing.lock")).unwrap();
        let git: rensei_process::ProcessIdentity = serde_json::from_slice(&note).unwrap();
        until("the end of git", || !git.is_alive()).await;
    }

    #[tokio::test]
    async fn objects_in_files_of_their_own_are_packed_although_nothing_leads_to_them() {
        pack_loose("git").await;
        pack_loose("no-git-on-this-machine").await;
    }

    async fn pack_loose(program: &str) {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(dir.path(), program);
        fixture.rewrite(0).await;
        // As many as there would be in this directory.
        let is_there = |content: &usize| {
            let id = Oid::hash_object(git2::ObjectType::Blob, &content.to_le_bytes()).unwrap();
            id.as_bytes()[0] == 0x17
        };
        let contents: Vec<usize> = (0..).filter(is_there).take(MAX_LOOSE / 256 + 1).collect();
        let ids: Vec<Oid> = {
            let mirror = Repository::open_bare(fixture.mirror.dir()).unwrap();
            contents.iter().map(|content| mirror.blob(&content.to_le_bytes()).unwrap()).collect()
        };
        let now = Instant::now();
        assert!(fixture.mirror.needs_upkeep(now, true));
        fixture.mirror.keep_up(now).await.unwrap();
        fixture.mirror.keep_up(now + STAYS).await.unwrap();
        assert_eq!(salvage::loose(&fixture.mirror.objects()).len(), 0);
        let mirror = Repository::open_bare(fixture.mirror.dir()).unwrap();
        assert!(ids.iter().all(|id| mirror.find_blob(*id).is_ok()));
        fixture.assert_whole("loose");
    }

    #[tokio::test]
    async fn a_mirror_that_cannot_be_packed_is_as_it_was_and_left_alone_for_a_while() {
        for program in ["git", "no-git-on-this-machine"] {
            let dir = tempfile::tempdir().unwrap();
            let fixture = Fixture::new(dir.path(), program);
            fixture.rewrite(0).await;
            fixture.rewrite(1).await;
            let packs = fixture.mirror.objects().join("pack");
            let damaged =
                salvage::entries(&packs).into_iter().find(|path| path.extension().unwrap() == "pack").unwrap();
            std::fs::remove_file(&damaged).unwrap();
            std::fs::write(&damaged, "PACK").unwrap();
            let before: BTreeSet<PathBuf> = salvage::entries(&packs).into_iter().collect();
            let now = Instant::now();
            let error = fixture.mirror.keep_up(now).await.unwrap_err();
            assert!(error.to_string().contains("pack"), "{error}");
            assert_eq!(salvage::entries(&packs).into_iter().collect::<BTreeSet<_>>(), before, "{program}");
            for number in 0..=MAX_PACKS {
                std::fs::write(packs.join(format!("pack-{number}.pack")), "").unwrap();
            }
            assert!(
                !fixture.mirror.needs_upkeep(now, true) && fixture.mirror.needs_upkeep(now + REST, true),
                "{program}"
            );
            assert_eq!(salvage::entries(&dir.path().join("repos")).len(), 3, "{program}");
        }
    }

    /// What the killed process does, over and over.
    #[tokio::test]
    async fn victim() {
        let Some(dir) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
        let fixture = Fixture::new(&dir, "git");
        println!("ready");
        for number in 0.. {
            fixture.rewrite(u64::from(std::process::id()) << 32 | number).await;
            let now = Instant::now();
            fixture.mirror.repack(now).await.unwrap();
            fixture.mirror.keep_up(now).await.unwrap();
        }
    }

    fn spawn(dir: &Path) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "mirror::repack::tests::victim", "--nocapture"]).env(VICTIM, dir);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("ready")), "the victim did not start");
        child
    }

    async fn until(what: &str, mut reached: impl FnMut() -> bool) {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        let waited = async {
            while !reached() {
                tick.tick().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "{what}");
    }

    #[tokio::test]
    async fn whoever_is_killed_while_a_mirror_is_packed_nothing_is_lost_and_nothing_leaks() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(dir.path(), "git");
        fixture.rewrite(0).await;
        for round in 0..ROUNDS {
            let mut child = spawn(dir.path());
            // Any moment will do: what is tested is that it does not matter which.
            tokio::time::sleep(Duration::from_micros(round * 7919 % 90_000)).await;
            child.kill().unwrap();
            child.wait().unwrap();
            scratch::sweep(&dir.path().join("repos"));
            fixture.rewrite(round).await;
            fixture.assert_whole(&format!("round {round}"));
            // A fetch that outlived its host may still be at it.
            until(&format!("round {round}: half a pack"), || {
                let packs = salvage::entries(&fixture.mirror.objects().join("pack"));
                let parts =
                    ["idx", "pack"].map(|extension| move |path: &PathBuf| path.with_extension(extension).exists());
                packs.iter().all(|path| parts.iter().all(|is_there| is_there(path)))
            })
            .await;
        }
        // Git that outlived its host has nowhere to write to. What is to go may still be noted.
        let repos = dir.path().join("repos");
        until("leftovers", || {
            scratch::sweep(&repos);
            salvage::entries(&repos).len() == 3 + with_replaced(&repos).len()
        })
        .await;
    }
}
