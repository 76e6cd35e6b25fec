//! One sample of everything, round by round.

use crate::data::{Data, git, name};
use rensei_proto::SessionId;
use rensei_workarea::{AcquireRequest, GitEnvironment, ReleaseMode, WorkareaManager};
use std::path::{Path, PathBuf};
use std::time::Instant;
use xtask::{Samples, milliseconds};

/// When a sample was begun.
#[derive(Clone, Copy)]
struct Begun {
    at: Instant,
    processor_ms: f64,
}

impl Begun {
    fn now() -> Self {
        Self { at: Instant::now(), processor_ms: processor_ms() }
    }

    /// Notes how long it took, and what of the processor.
    fn end(self, name: &str, samples: &mut Samples) {
        let taken = milliseconds(self.at.elapsed());
        samples.put(&processor(name), processor_ms() - self.processor_ms);
        samples.put(name, taken);
    }
}

/// Processor time of this process and of the children that it has waited for.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split(' ').skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // Linux tells programs a hundred a second, whatever it counts itself.
    ticks as f64 * 10.0
}

/// Name of the processor time of a sample: neighbours disturb it less than the time that passes.
pub(crate) fn processor(name: &str) -> String {
    format!("{name}, processor time")
}

/// A manager, and a clone that git reuses.
pub(crate) struct Fixture<'a> {
    scratch: PathBuf,
    data: &'a Data,
    manager: WorkareaManager,
    clone: PathBuf,
    /// Both commits of the large repository, the newer one first.
    commits: [String; 2],
}

impl<'a> Fixture<'a> {
    pub(crate) fn new(scratch: &Path, data: &'a Data) -> Self {
        let env = std::env::vars_os().collect();
        let manager = WorkareaManager::new(&scratch.join("state"), GitEnvironment::new(env));
        let clone = scratch.join("clone");
        git(scratch, &["clone", "-q", &data.large.display().to_string(), &clone.display().to_string()]);
        git(&clone, &["update-index", "--refresh"]);
        let commits = ["main", "main~1"].map(|name| git(&data.large, &["rev-parse", name]));
        Self { scratch: scratch.to_owned(), data, manager, clone, commits }
    }

    fn request(repository: &Path, reference: &str) -> AcquireRequest {
        let (repository, r#ref) = (repository.display().to_string(), reference.to_owned());
        AcquireRequest { repository, r#ref, ..AcquireRequest::default() }
    }

    async fn acquire(&self, session: &str, reference: &str) -> PathBuf {
        let request = Self::request(&self.data.large, reference);
        let workarea = self.manager.acquire(&id(session), request).await.expect("there is room and a repository");
        workarea.path.into()
    }

    async fn release(&self, session: &str, mode: ReleaseMode) {
        self.manager.release(&id(session), mode).await.expect("it is ours");
    }

    pub(crate) async fn round(&self, round: usize, samples: &mut Samples) {
        let [new, old] = &self.commits;
        self.acquire("mirror", new).await;
        self.release("mirror", ReleaseMode::Destroy).await;

        let begun = Begun::now();
        let path = self.acquire("fresh", new).await;
        begun.end("fresh", samples);
        assert_eq!(git(&path, &["status", "--porcelain"]), "");
        self.release("fresh", ReleaseMode::ReturnToPool).await;
        self.cold_peers(round, samples);

        let begun = Begun::now();
        self.acquire("warm", new).await;
        begun.end("warm", samples);
        let begun = Begun::now();
        self.release("warm", ReleaseMode::ReturnToPool).await;
        begun.end("release", samples);
        git(&self.clone, &["reset", "--hard", "-q", new]);
        let begun = Begun::now();
        git(&self.clone, &["reset", "--hard", "-q", new]);
        git(&self.clone, &["clean", "-fdxq"]);
        begun.end("reset --hard && clean -fdx", samples);

        let path = self.acquire("dirty", old).await;
        self.soil(&path);
        self.release("dirty", ReleaseMode::ReturnToPool).await;
        let begun = Begun::now();
        let path = self.acquire("dirty", "main").await;
        begun.end("warm, dirty", samples);
        assert_eq!(git(&path, &["status", "--porcelain", "--ignored"]), "");
        self.release("dirty", ReleaseMode::Destroy).await;
        git(&self.clone, &["checkout", "-q", "--detach", old]);
        self.soil(&self.clone);
        let begun = Begun::now();
        git(&self.clone, &["fetch", "-q", "origin", "main"]);
        git(&self.clone, &["reset", "--hard", "-q", "FETCH_HEAD"]);
        git(&self.clone, &["clean", "-fdxq"]);
        begun.end("fetch && reset && clean, dirty", samples);
    }

    /// What git does when there is no workarea yet.
    fn cold_peers(&self, round: usize, samples: &mut Samples) {
        let target = self.scratch.join(format!("peer{round}"));
        let (to, from) = (target.display().to_string(), self.data.large.display().to_string());
        let (url, mirror) = (format!("file://{from}"), self.mirror().display().to_string());
        let peers: [(&str, Vec<&str>); 3] = [
            (
                "worktree add, 2 workers",
                vec!["--git-dir", &from, "-c", "checkout.workers=2", "worktree", "add", "-q", "--detach", &to, "main"],
            ),
            ("clone --reference", vec!["clone", "-q", "--reference", &mirror, &from, &to]),
            ("clone --depth 1", vec!["clone", "-q", "--depth", "1", &url, &to]),
        ];
        for (name, args) in peers {
            let begun = Begun::now();
            git(&self.scratch, &args);
            begun.end(name, samples);
            std::fs::remove_dir_all(&target).expect("git made it");
            git(&self.data.large, &["worktree", "prune"]);
        }
    }

    fn mirror(&self) -> PathBuf {
        let repos = std::fs::read_dir(self.scratch.join("state/repos")).expect("there was an acquire");
        let found = repos.flatten().map(|entry| entry.path()).find(|path| path.join("HEAD").is_file());
        found.expect("there is a mirror")
    }

    /// What an agent and its builds leave.
    fn soil(&self, path: &Path) {
        for number in (0..self.data.files).step_by(97) {
            std::fs::write(path.join(name(number)), "changed").expect("a checkout is writable");
        }
        for number in 0..self.data.files / 20 {
            let directory = path.join(format!("target/debug/d{}", number % 50));
            std::fs::create_dir_all(&directory).expect("a checkout is writable");
            std::fs::write(directory.join(format!("o{number}")), "output").expect("a checkout is writable");
        }
    }

    /// Thirty-two at once, of four repositories.
    pub(crate) async fn crowd(&self, samples: &mut Samples) {
        for name in ["crowd, cold", "crowd, warm"] {
            let begun = Begun::now();
            let tasks: Vec<_> = (0..32)
                .map(|number| {
                    let (manager, request) =
                        (self.manager.clone(), Self::request(&self.data.small[number % 4], "main"));
                    tokio::spawn(async move { manager.acquire(&id(&format!("c{number}")), request).await })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic").expect("there is room and a repository");
            }
            begun.end(name, samples);
            for number in 0..32 {
                self.release(&format!("c{number}"), ReleaseMode::ReturnToPool).await;
            }
        }
        let begun = Begun::now();
        std::thread::scope(|scope| {
            for number in 0..32 {
                scope.spawn(move || {
                    let target = self.scratch.join(format!("crowd{number}")).display().to_string();
                    git(&self.scratch, &["clone", "-q", &self.data.small[number % 4].display().to_string(), &target]);
                });
            }
        });
        begun.end("32 clones", samples);
    }
}

fn id(text: &str) -> SessionId {
    SessionId::parse(text).expect("the names here are ids")
}
