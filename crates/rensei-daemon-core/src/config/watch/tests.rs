use super::*;
use std::fs;
use tokio::time::timeout;

const A_WHILE: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    watcher: ConfigWatcher,
}

fn defaults() -> Defaults {
    Defaults { hostname: "h".to_owned(), cpus: 2 }
}

fn project(id: &str) -> String {
    format!("projects:\n- id: {id} # keep\n  repository: r\n")
}

impl World {
    async fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.yaml");
        fs::write(&path, text).unwrap();
        let config = load::load(&path, &BTreeMap::new(), &defaults()).unwrap();
        let watcher = ConfigWatcher::new(path, BTreeMap::new(), defaults(), config);
        let mut world = Self { dir, watcher };
        assert_eq!(world.next().await, None);
        world
    }

    fn write(&self, text: &str) {
        fs::write(self.dir.path().join("daemon.yaml"), text).unwrap();
    }

    async fn next(&mut self) -> Option<Reloaded> {
        timeout(A_WHILE, self.watcher.changed()).await.ok()
    }

    /// Ids of the projects that are delivered next.
    async fn projects(&mut self) -> Option<Vec<String>> {
        let reloaded = self.next().await?;
        Some(reloaded.config.projects.iter().map(|project| project.id.clone()).collect())
    }

    fn complaint(&self) -> Option<String> {
        self.watcher.shared.known().complaint.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn config_watcher_delivers_a_burst_once() {
    let mut world = World::new(&project("a")).await;
    for id in ["b", "c", "d"] {
        world.write(&project(id));
        // Shorter than the pause that ends a burst.
        assert!(timeout(DEBOUNCE / 2, world.watcher.changed()).await.is_err(), "{id} came too early");
    }
    let before = Instant::now();
    assert_eq!(world.projects().await.unwrap(), ["d"]);
    assert!(before.elapsed() <= DEBOUNCE);
    assert_eq!(world.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn config_watcher_ignores_siblings_and_what_changes_nothing() {
    let mut world = World::new(&project("a")).await;
    fs::write(world.dir.path().join("daemon-other.yaml"), project("z")).unwrap();
    fs::write(world.dir.path().join("daemon.jwt"), "{}").unwrap();
    world.write(&format!("# a comment\n{}", project("a")));
    assert_eq!(world.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn config_watcher_keeps_the_last_good_configuration_and_says_so_once() {
    let mut world = World::new(&project("a")).await;
    world.write("projects:\n- id: b\n  repos");
    assert_eq!(world.next().await, None);
    let broken = world.complaint().unwrap();
    assert!(broken.contains("daemon.yaml:4:1"), "{broken}");
    world.write("");
    assert_eq!(world.next().await, None);
    assert!(world.complaint().unwrap().contains("empty"));
    fs::remove_file(world.dir.path().join("daemon.yaml")).unwrap();
    assert_eq!(world.next().await, None);
    assert!(world.complaint().unwrap().contains("gone"));
    world.write(&project("a"));
    assert_eq!(world.next().await, None, "what is back is what was there before");
    assert_eq!(world.complaint(), None);
    world.write(&project("b"));
    assert_eq!(world.projects().await.unwrap(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn config_watcher_is_silent_about_own_writes() {
    let mut world = World::new(&project("a")).await;
    let writer = world.watcher.writer();
    let add = Edit::AddProject(super::super::edit::NewProject {
        id: "b".to_owned(),
        repository: "s".to_owned(),
        ..Default::default()
    });
    let own = writer.update(vec![add.clone()]).await.unwrap().unwrap();
    assert_eq!(own.config.projects.len(), 2);
    assert_eq!(own.changes, Changes { projects: true, ..Changes::default() });
    assert_eq!(world.next().await, None);
    assert_eq!(writer.update(vec![add]).await.unwrap(), None, "it is there already");
    let text = fs::read_to_string(world.dir.path().join("daemon.yaml")).unwrap();
    assert_eq!(text, "projects:\n- id: a # keep\n  repository: r\n- id: b\n  repository: s\n");
    // A change by somebody else right behind an own one still arrives, and says what it changed only.
    writer.update(vec![Edit::RemoveProject { id: "a".to_owned() }]).await.unwrap().unwrap();
    world.write("capacity: {maxConcurrentSessions: 2}\nprojects:\n- id: b\n  repository: s\n");
    let foreign = world.next().await.unwrap();
    assert_eq!(foreign.changes, Changes { max_sessions: true, ..Changes::default() });
}

#[tokio::test(start_paused = true)]
async fn config_watcher_finds_what_changed_before_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    let config = load::load(&path, &BTreeMap::new(), &defaults()).unwrap();
    fs::write(&path, project("a")).unwrap();
    let mut watcher = ConfigWatcher::new(path, BTreeMap::new(), defaults(), config);
    assert_eq!(timeout(A_WHILE, watcher.changed()).await.unwrap().config.projects.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_empty_for_a_moment_is_not_replaced_by_one_change() {
    let mut world = World::new(&project("a")).await;
    let writer = world.watcher.writer();
    use crate::config::NewProject;
    let add = || Edit::AddProject(NewProject { id: "b".into(), repository: "s".into(), ..NewProject::default() });
    let path = world.dir.path().join("daemon.yaml");
    for take_away in [(|path| fs::write(path, "")) as fn(&Path) -> std::io::Result<()>, |path| fs::remove_file(path)] {
        take_away(&path).unwrap();
        let refused = writer.update(vec![add()]).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), "");
    }
    world.write(&project("a"));
    assert_eq!(world.next().await, None);
    writer.update(vec![add()]).await.unwrap().unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("# keep"));
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_file_misses_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.yaml");
    let config = load::load(&path, &BTreeMap::new(), &defaults()).unwrap();
    let writer = ConfigWriter::new(path.clone(), BTreeMap::new(), defaults(), config);
    assert!(writer.look().is_none());
    assert_eq!(writer.complaint(), None);
    fs::write(&path, project("a")).unwrap();
    assert!(writer.look().is_some());
    fs::remove_file(&path).unwrap();
    assert!(writer.look().is_none());
    assert!(writer.complaint().unwrap().contains("gone"));
}
