//! What the table says of a key, and how two configurations are compared in it.

use crate::config::model::Config;

/// When a changed key takes effect in a running host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// As soon as the file is written.
    AtOnce,
    /// With the next start.
    Restart,
    /// It is read and checked, so that the file of another generation of hosts stays valid, and changes nothing here.
    Nothing,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its path; `[]` stands for every entry of a list.
    pub path: &'static str,
    /// Type and allowed values.
    pub kind: &'static str,
    /// What holds when it is absent.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// When a change takes effect.
    pub applies: Applies,
    /// A value that differs from the default.
    pub example: &'static str,
    /// Whether two configurations differ in it.
    pub(in crate::config) differs: fn(&Config, &Config) -> bool,
}

/// Whether the reference has `pattern`.
pub(in crate::config) fn is_key(pattern: &str) -> bool {
    super::KEYS.iter().any(|key| key.path == pattern)
}

/// Compares one field of two configurations.
macro_rules! field {
    ($($path:tt)+) => { |a, b| a.$($path)+ != b.$($path)+ };
}

/// Compares one field of the projects of two configurations, entry by entry.
macro_rules! project {
    ($($path:tt)+) => { |a, b| !a.projects.iter().map(|p| &p.$($path)+).eq(b.projects.iter().map(|p| &p.$($path)+)) };
}

/// Compares one field of the control planes of two configurations.
macro_rules! orchestrator {
    ($field:ident) => {
        |a, b| a.orchestrator.as_ref().map(|o| &o.$field) != b.orchestrator.as_ref().map(|o| &o.$field)
    };
}

/// Compares one field of `observability`; absent and empty are the same here.
macro_rules! observability {
    ($field:ident) => {
        |a, b| {
            let field = |observability: &Option<Observability>| observability.as_ref().and_then(|o| o.$field.clone());
            field(&a.observability) != field(&b.observability)
        }
    };
}
