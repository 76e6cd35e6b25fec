//! That something happened to a file. What happened is for the caller to find out.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the file is looked at where the system does not tell.
const POLL: Duration = Duration::from_secs(1);

/// Source of hints.
#[derive(Debug)]
pub(super) enum Events {
    /// The kernel tells.
    #[cfg(target_os = "linux")]
    Kernel(kernel::Watch, PathBuf),
    /// The file is looked at again and again.
    Poll(Poll),
}

impl Events {
    /// Watches `path`, and what it links to.
    pub(super) fn of(path: &Path) -> Self {
        #[cfg(target_os = "linux")]
        match kernel::Watch::of(path) {
            Ok(watch) => return Self::Kernel(watch, path.to_owned()),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no notice of changes from the system; looking every second");
            }
        }
        Self::Poll(Poll::of(path))
    }

    /// Watches for files in `directory` whose names begin with `prefix`.
    pub(super) fn of_names(directory: &Path, prefix: &std::ffi::OsStr) -> Self {
        #[cfg(target_os = "linux")]
        match kernel::Watch::of_names(directory, prefix) {
            Ok(watch) => return Self::Kernel(watch, directory.to_owned()),
            Err(error) => {
                tracing::warn!(path = %directory.display(), %error, "no notice of changes from the system; looking every second");
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _every_name_counts = prefix;
        // It changes whenever a name does.
        Self::Poll(Poll::of(directory))
    }

    /// Waits for a hint. Cancel-safe: nothing is taken before it is answered.
    pub(super) async fn next(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel(watch, path) => {
                if watch.next().await == kernel::Notice::WatchEnded {
                    // The directory itself was replaced.
                    *self = Self::Poll(Poll::of(&path.clone()));
                }
            }
            Self::Poll(poll) => poll.next().await,
        }
    }
}

/// Looks at a file and remembers what it looked like.
#[derive(Debug)]
pub(super) struct Poll {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// Changes whenever a file is replaced or written.
type Stamp = (u64, u64, i64, i64);

impl Poll {
    pub(super) fn of(path: &Path) -> Self {
        Self { seen: stamp(path), path: path.to_owned() }
    }

    pub(super) async fn next(&mut self) {
        loop {
            let now = stamp(&self.path);
            if now != self.seen {
                self.seen = now;
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use std::ffi::{OsStr, OsString};
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Room for a few dozen events.
    const BUFFER: usize = 8 * 1024;

    #[derive(Debug)]
    pub(in crate::config::watch) struct Watch {
        queue: AsyncFd<OwnedFd>,
        /// Watched directories and the name that counts in each.
        names: Vec<(i32, Wanted)>,
    }

    /// Which names in a directory count.
    #[derive(Debug)]
    enum Wanted {
        Name(OsString),
        Prefix(OsString),
    }

    impl Wanted {
        fn is(&self, name: &[u8]) -> bool {
            match self {
                Self::Name(wanted) => wanted.as_bytes() == name,
                Self::Prefix(prefix) => name.starts_with(prefix.as_bytes()),
            }
        }
    }

    /// What the queue held.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Notice {
        Nothing,
        Touched,
        WatchEnded,
    }

    impl Watch {
        /// Directories are watched, not files: a file that is replaced is another file.
        pub(super) fn of(path: &Path) -> io::Result<Self> {
            let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let mut names = Vec::new();
            for place in places(path) {
                let (Some(directory), Some(name)) = (place.parent(), place.file_name()) else { continue };
                let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
                names.push((inotify::add_watch(&queue, directory, what())?, Wanted::Name(name.to_owned())));
            }
            Ok(Self { queue: register(queue)?, names })
        }

        pub(super) fn of_names(directory: &Path, prefix: &OsStr) -> io::Result<Self> {
            let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let names = vec![(inotify::add_watch(&queue, directory, what())?, Wanted::Prefix(prefix.to_owned()))];
            Ok(Self { queue: register(queue)?, names })
        }

        pub(super) async fn next(&mut self) -> Notice {
            loop {
                // Cancel-safe: events are taken from the queue below, without waiting in between.
                let Ok(mut ready) = self.queue.readable().await else { return Notice::WatchEnded };
                let taken = ready.try_io(|queue| take(queue.get_ref(), &self.names));
                match taken {
                    Ok(Ok(Notice::Nothing)) | Err(_) => {}
                    Ok(Ok(notice)) => return notice,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "no more notice of changes from the system");
                        return Notice::WatchEnded;
                    }
                }
            }
        }
    }

    /// Not MODIFY: the log of the host is written in the same directory all the time, and a writer that is done closes its
    /// file.
    fn what() -> WatchFlags {
        WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR
    }

    #[expect(
        deprecated,
        reason = "the successor is unsafe; what it demands, sole ownership of the descriptor, `OwnedFd` is"
    )]
    fn register(queue: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
        AsyncFd::with_interest(queue, Interest::READABLE)
    }

    /// Takes one buffer of events. What is left makes the queue readable again.
    fn take(queue: &OwnedFd, names: &[(i32, Wanted)]) -> io::Result<Notice> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = Reader::new(queue, &mut buffer);
        let mut notice = Notice::Nothing;
        loop {
            let event = events.next()?;
            let of_ours = |name: &std::ffi::CStr| {
                names.iter().any(|(watch, wanted)| *watch == event.wd() && wanted.is(name.to_bytes()))
            };
            if event.events().intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                notice = Notice::WatchEnded;
            } else if notice == Notice::Nothing
                && (event.events().contains(ReadFlags::QUEUE_OVERFLOW) || event.file_name().is_some_and(of_ours))
            {
                notice = Notice::Touched;
            }
            if events.is_buffer_empty() {
                return Ok(notice);
            }
        }
    }

    /// The file, and what it is a link to.
    fn places(path: &Path) -> Vec<PathBuf> {
        let mut places = vec![path.to_owned()];
        places.extend(path.canonicalize().ok().filter(|target| target != path));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    /// Passes at once on a paused clock, but only after everything that the kernel has to tell was heard.
    const A_WHILE: Duration = Duration::from_secs(60);

    async fn touched(events: &mut Events) -> bool {
        let first = timeout(A_WHILE, events.next()).await.is_ok();
        // One write can be several events.
        while first && timeout(A_WHILE, events.next()).await.is_ok() {}
        first
    }

    async fn follow(make: fn(&Path) -> Events) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.yaml");
        let mut events = make(&path);
        let at = |name: &str| dir.path().join(name);
        assert!(!touched(&mut events).await, "nothing happened yet");
        fs::write(at("daemon.yaml"), "a").unwrap();
        assert!(touched(&mut events).await, "created");
        fs::write(at("daemon.yaml"), "ab").unwrap();
        assert!(touched(&mut events).await, "written");
        fs::write(at("daemon.jwt"), "x").unwrap();
        fs::write(at("daemon.yaml.tmp"), "abc").unwrap();
        assert!(!touched(&mut events).await, "only siblings");
        fs::rename(at("daemon.yaml.tmp"), at("daemon.yaml")).unwrap();
        assert!(touched(&mut events).await, "replaced");
        fs::remove_file(at("daemon.yaml")).unwrap();
        assert!(touched(&mut events).await, "removed");
    }

    #[tokio::test(start_paused = true)]
    async fn config_events_of_the_system_are_about_the_file_only() {
        follow(Events::of).await;
    }

    #[tokio::test(start_paused = true)]
    async fn config_events_by_looking_are_about_the_file_only() {
        follow(|path| Events::Poll(Poll::of(path))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn config_events_follow_a_link_and_outlive_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (real, seen) = (dir.path().join("real"), dir.path().join("state"));
        fs::create_dir_all(&real).unwrap();
        fs::create_dir_all(&seen).unwrap();
        fs::write(real.join("dot.yaml"), "a").unwrap();
        std::os::unix::fs::symlink(real.join("dot.yaml"), seen.join("daemon.yaml")).unwrap();
        let mut events = Events::of(&seen.join("daemon.yaml"));
        fs::write(real.join("dot.yaml"), "ab").unwrap();
        assert!(touched(&mut events).await, "the target was written");
        fs::remove_dir_all(&seen).unwrap();
        assert!(touched(&mut events).await, "the directory is gone");
        fs::create_dir_all(&seen).unwrap();
        fs::write(seen.join("daemon.yaml"), "new").unwrap();
        assert!(touched(&mut events).await, "the directory is back");
    }
}
