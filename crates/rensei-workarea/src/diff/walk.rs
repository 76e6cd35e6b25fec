//! Both trees side by side, in the order of whole paths.

use super::{Failure, Side};
use crate::tree::{Limits, Tree, TreeError, join, list};
use rustix::fs::FileType;
use std::cmp::Ordering;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What belongs to the host and not to the work, at the top of a tree.
const PRIVATE: &[u8] = b".rensei";

/// A directory on the sides that have it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: Vec<u8>,
    pub(super) a: Option<OwnedFd>,
    pub(super) b: Option<OwnedFd>,
}

/// A name to be compared.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) place: Arc<Place>,
    pub(super) name: CString,
    /// What the listing says that it is.
    pub(super) a: Option<FileType>,
    pub(super) b: Option<FileType>,
}

impl Task {
    pub(super) fn path(&self) -> Vec<u8> {
        join(&self.place.path, self.name.to_bytes())
    }

    /// Whether both are in the same directory.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.place, &other.place)
    }
}

/// Yields every name of both trees once, sorted by the bytes of its path.
pub(super) struct Walk<'a> {
    a: &'a Tree,
    b: &'a Tree,
    levels: Vec<Level>,
    /// Of the directory where the walk is.
    path: Vec<u8>,
    begun: bool,
    seen: u64,
}

/// A directory on the way to where the walk is.
struct Level {
    /// Length of its path, with which the walk's begins.
    length: usize,
    sides: (bool, bool),
    /// Open while its own names are looked at, so that a deep tree does not use up all files.
    place: Option<Arc<Place>>,
    steps: std::vec::IntoIter<Step>,
}

/// The name of a directory is one step and its content another: `a`, `a-b`, `a/x` is the order of paths, so that
/// something else may come in between.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    name: CString,
    a: Option<FileType>,
    b: Option<FileType>,
    enters: bool,
}

impl Step {
    /// The name, as a path goes on with it.
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        self.name.to_bytes().iter().copied().chain(self.enters.then_some(b'/'))
    }

    fn by_path(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(a: &'a Tree, b: &'a Tree) -> Self {
        Self { a, b, levels: Vec::new(), path: Vec::new(), begun: false, seen: 0 }
    }

    fn enter(&mut self, path: Vec<u8>, sides: (bool, bool)) -> Result<(), Failure> {
        let limit = Limits::USUAL.depth;
        if self.levels.len() > limit {
            let side = if sides.0 { Side::A } else { Side::B };
            return Err(Failure { side, error: TreeError::too_deep(limit, &path) });
        }
        let place = self.open(path.clone(), sides)?;
        let mut steps = steps(&place)?;
        if path.is_empty() {
            steps.retain(|step| step.name.to_bytes() != PRIVATE);
        }
        if let Some(above) = self.levels.last_mut() {
            above.place = None;
        }
        self.levels.push(Level { length: path.len(), sides, place: Some(Arc::new(place)), steps: steps.into_iter() });
        self.path = path;
        Ok(())
    }

    fn open(&self, path: Vec<u8>, sides: (bool, bool)) -> Result<Place, Failure> {
        let open = |tree: &Tree, side: Side, there: bool| {
            there
                .then(|| tree.directory(&path))
                .transpose()
                .map_err(|error| Failure { side, error: TreeError::io("open", &path, error) })
        };
        let (a, b) = (open(self.a, Side::A, sides.0)?, open(self.b, Side::B, sides.1)?);
        Ok(Place { path, a, b })
    }

    /// The next name, if the walk does not have to enter or leave a directory first.
    fn step(&mut self) -> Result<Option<Task>, Failure> {
        if !self.begun {
            self.begun = true;
            self.enter(Vec::new(), (true, true))?;
        }
        while let Some(level) = self.levels.last_mut() {
            let Some(step) = level.steps.next() else {
                self.levels.pop();
                self.path.truncate(self.levels.last().map_or(0, |level| level.length));
                continue;
            };
            let directory = |kind: Option<FileType>| kind == Some(FileType::Directory);
            if step.enters {
                let path = join(&self.path, step.name.to_bytes());
                self.enter(path, (directory(step.a), directory(step.b)))?;
                continue;
            }
            return self.task(step).map(Some);
        }
        Ok(None)
    }

    fn task(&mut self, step: Step) -> Result<Task, Failure> {
        self.seen += 1;
        if self.seen > 2 * Limits::USUAL.entries {
            return Err(Failure { side: Side::A, error: TreeError::TooMany { limit: Limits::USUAL.entries } });
        }
        let reopened = match self.levels.last() {
            Some(Level { place: None, sides, .. }) => Some(Arc::new(self.open(self.path.clone(), *sides)?)),
            _ => None,
        };
        let place = self.levels.last_mut().and_then(|level| {
            if reopened.is_some() {
                level.place = reopened;
            }
            level.place.clone()
        });
        let place = place.expect("a step is taken on a level that is open");
        Ok(Task { place, name: step.name, a: step.a, b: step.b })
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Task, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if let Some(Err(_)) = &step {
            self.levels.clear();
        }
        step
    }
}

/// What is to be looked at in a directory, in the order of paths.
fn steps(place: &Place) -> Result<Vec<Step>, Failure> {
    let names = |directory: &Option<OwnedFd>, side: Side| {
        let failed = |error| Failure { side, error: TreeError::io("list", &place.path, error) };
        let mut names = Vec::new();
        if let Some(directory) = directory {
            for entry in list(directory.as_fd()).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                names.push((entry.name, entry.kind));
            }
        }
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(names)
    };
    let (a, b) = (names(&place.a, Side::A)?, names(&place.b, Side::B)?);
    let mut steps = merged(a, b);
    let directory = |kind: Option<FileType>| kind == Some(FileType::Directory);
    let entered: Vec<Step> = steps
        .iter()
        .filter(|step| directory(step.a) || directory(step.b))
        .map(|step| Step { name: step.name.clone(), enters: true, ..*step })
        .collect();
    if !entered.is_empty() {
        steps.extend(entered);
        steps.sort_unstable_by(Step::by_path);
    }
    Ok(steps)
}

fn merged(a: Vec<(CString, FileType)>, b: Vec<(CString, FileType)>) -> Vec<Step> {
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let mut steps = Vec::with_capacity(a.len().max(b.len()));
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return steps,
        };
        let from_a = if order.is_le() { a.next() } else { None };
        let from_b = if order.is_ge() { b.next() } else { None };
        let kinds = (from_a.as_ref().map(|(_, kind)| *kind), from_b.as_ref().map(|(_, kind)| *kind));
        if let Some((name, _)) = from_a.or(from_b) {
            steps.push(Step { name, a: kinds.0, b: kinds.1, enters: false });
        }
    }
}
