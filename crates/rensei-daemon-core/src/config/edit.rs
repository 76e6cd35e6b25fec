//! Changes to the text of a file, each checked before it counts.
//!
//! An edit happens twice: on the text, and on the values that an independent parser reads from it. Unless the edited
//! text then reads as exactly the edited values, still holds every comment, and is a valid configuration, the edit is
//! refused and the text stays what it was.

mod values;

use self::values::{add_project, put, remove_project, same, values};
use super::document::{Document, Field, Refusal, Scalar};
use super::error::ConfigError;
use super::load::{self, Defaults};
use super::names::{self, Segment};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Adds a project at the end; one of the same id is left as it is.
    AddProject(NewProject),
    /// Removes every project of that id; none is fine.
    RemoveProject {
        /// Its id.
        id: String,
    },
    /// Sets one key of the reference, such as `capacity.maxConcurrentSessions` or `projects[0].git.sshKey`. An index
    /// one past the end adds an entry to a list of values.
    Set {
        /// Its path.
        key: String,
        /// Its value.
        value: Scalar,
    },
}

impl Edit {
    /// Sets a key of `capacity`.
    #[must_use]
    pub fn capacity(key: &str, value: u64) -> Self {
        Self::Set { key: format!("capacity.{key}"), value: Scalar::Number(value) }
    }
}

/// A project to add. Fields that are `None` are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProject {
    /// Its id; see [`project_id`](super::project_id) for a good one.
    pub id: String,
    /// What is cloned.
    pub repository: String,
    /// `shallow`, `full` or `reference-clone`.
    pub clone_strategy: Option<String>,
    /// Value for git's `credential.helper`.
    pub credential_helper: Option<String>,
    /// Private key for ssh remotes.
    pub ssh_key: Option<String>,
}

/// Why a file was not changed. It is what it was before.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// What is there cannot be read, so it is not touched.
    #[error("failed to edit {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// There is no such key.
    #[error("there is no key `{key}`")]
    UnknownKey {
        /// What was asked for.
        key: String,
    },
    /// The file is written in a way that the change cannot be made in.
    #[error("failed to change {what} in {}: {reason}", path.display())]
    NotPossible {
        /// The file.
        path: PathBuf,
        /// The change.
        what: String,
        /// Why.
        reason: String,
    },
    /// The file would no longer be a valid configuration.
    #[error("the change to {what} is not valid")]
    Invalid {
        /// The change.
        what: String,
        /// Why; places are those of the changed text.
        #[source]
        source: ConfigError,
    },
    /// Somebody else changed the file since it was read.
    #[error("{} was changed meanwhile", path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else is writing and does not finish.
    #[error("{} is locked by another writer", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl EditError {
    /// Whether the same change may succeed if it is simply tried again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::ChangedMeanwhile { .. } | Self::Locked { .. } => true,
            Self::Unreadable { .. }
            | Self::UnknownKey { .. }
            | Self::NotPossible { .. }
            | Self::Invalid { .. }
            | Self::Write { .. } => false,
        }
    }

    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } => source.hint(),
            Self::UnknownKey { .. } => "docs/config.md lists all keys".to_owned(),
            Self::NotPossible { path, .. } => format!("make the change in {} by hand", path.display()),
            Self::Invalid { .. } => "give a value that is allowed; nothing was changed".to_owned(),
            Self::ChangedMeanwhile { .. } => "try again".to_owned(),
            Self::Locked { path } => format!("try again; `fuser {}` names the process that holds it", path.display()),
            Self::Write { path, .. } => format!("make room, or make {} writable for this user", path.display()),
        }
    }
}

/// What text is edited for: its file, which is only named, and the environment that gives paths a meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) path: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
}

/// `text` with `edit`; `None` when it says that already.
///
/// # Errors
/// [`EditError`].
pub(super) fn apply(text: &str, edit: &Edit, subject: Subject<'_>) -> Result<Option<String>, EditError> {
    let old = values(text, subject.path).map_err(|source| unreadable(subject, source))?;
    let (step, new) = plan(&old, edit, subject)?;
    if same(&old, &new) {
        return Ok(None);
    }
    let edited = perform(text, &step, &new, subject.path);
    let edited = edited.map_err(|reason| not_possible(subject, edit, reason))?;
    let defaults = Defaults { hostname: String::new(), cpus: 1 };
    match load::parse(subject.path, &edited, subject.env, &defaults) {
        Ok(_valid) => Ok(Some(edited)),
        Err(source) => Err(EditError::Invalid { what: describe(edit), source }),
    }
}

/// An edit in terms of the text.
#[derive(Debug)]
enum Step<'a> {
    Set(Vec<Segment>, &'a Scalar),
    Push(Vec<Field>),
    /// Positions in `projects`, last first.
    Remove(Vec<usize>),
}

/// What to do, and the values that must be there afterwards.
fn plan<'a>(old: &Value, edit: &'a Edit, subject: Subject<'_>) -> Result<(Step<'a>, Value), EditError> {
    let mut new = old.clone();
    let root = match &mut new {
        Value::Mapping(root) => root,
        _ => return Err(not_possible(subject, edit, "the file is no mapping of keys to values".to_owned())),
    };
    let step = match edit {
        Edit::AddProject(project) => Step::Push(add_project(root, project)),
        Edit::RemoveProject { id } => Step::Remove(remove_project(root, id)),
        Edit::Set { key, value } => {
            let unknown = || EditError::UnknownKey { key: key.clone() };
            let segments = names::segments(key).ok_or_else(unknown)?;
            if !super::keys::is_key(&names::pattern(&segments)) {
                return Err(unknown());
            }
            put(&mut new, &segments, value).map_err(|reason| not_possible(subject, edit, reason))?;
            Step::Set(segments, value)
        }
    };
    Ok((step, new))
}

/// Edits the text and holds the result against `expected`.
fn perform(text: &str, step: &Step<'_>, expected: &Value, path: &Path) -> Result<String, Refusal> {
    let mut document = Document::parse(text)?;
    let mut comments = document.comments();
    match step {
        Step::Set(key, value) => document.set(key, value)?,
        Step::Push(entry) => document.push(PROJECTS, entry)?,
        Step::Remove(indices) => {
            for index in indices {
                let gone = removed_lines(&document, text, *index)?;
                comments.retain(|(place, _)| !gone.contains(place));
                document.remove(PROJECTS, *index)?;
            }
        }
    }
    let edited = document.into_text();
    let found = values(&edited, path).map_err(|error| format!("the result would not be YAML ({error})"))?;
    if !same(&found, expected) {
        return Err("the result would say something else as well".to_owned());
    }
    let kept = Document::parse(&edited)?.comments();
    let mut kept = kept.iter().map(|(_, comment)| comment);
    if !comments.iter().all(|(_, comment)| kept.any(|other| other == comment)) {
        return Err("a comment would be lost".to_owned());
    }
    Ok(edited)
}

const PROJECTS: &str = "projects";

/// The lines of an entry, whose comments go with it. Entries are removed last first, so `text` still has the place.
fn removed_lines(document: &Document, text: &str, index: usize) -> Result<std::ops::Range<usize>, Refusal> {
    let key = [Segment::Key(PROJECTS.to_owned()), Segment::Index(index)];
    let range = document.range(&key).ok_or_else(|| format!("`{PROJECTS}[{index}]` is not there"))?;
    let content = text.get(range.clone()).unwrap_or_default().trim_end().len() + range.start;
    let rest_of_line = text.get(content..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| content + end);
    Ok(range.start..rest_of_line)
}

fn describe(edit: &Edit) -> String {
    match edit {
        Edit::AddProject(project) => format!("project `{}`", project.id),
        Edit::RemoveProject { id } => format!("project `{id}`"),
        Edit::Set { key, .. } => format!("`{key}`"),
    }
}

fn not_possible(subject: Subject<'_>, edit: &Edit, reason: String) -> EditError {
    EditError::NotPossible { path: subject.path.to_owned(), what: describe(edit), reason }
}

fn unreadable(subject: Subject<'_>, source: ConfigError) -> EditError {
    EditError::Unreadable { path: subject.path.to_owned(), source }
}

#[cfg(test)]
#[path = "edit/tests.rs"]
mod tests;
