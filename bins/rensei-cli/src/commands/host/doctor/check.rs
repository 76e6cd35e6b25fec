//! One finding.

use crate::output::Tone;
use serde::Serialize;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was looked at.
    pub(super) name: &'static str,
    /// How it is.
    pub(super) status: Verdict,
    /// What was seen.
    pub(super) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not for long or not for everything.
    Warning,
    /// The host does not do its job.
    Error,
    /// It cannot be seen from here.
    Unknown,
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    pub(super) const fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warning => Tone::Notice,
            Self::Error => Tone::Bad,
            Self::Unknown => Tone::Faint,
        }
    }
}

impl Check {
    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Verdict::Ok, detail: detail.into(), fix: None }
    }

    pub(super) fn unknown(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Verdict::Unknown, detail: detail.into(), fix: None }
    }

    /// Whatever is not in order has a fix.
    pub(super) fn warning(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Verdict::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// Whatever is not in order has a fix.
    pub(super) fn error(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Verdict::Error, detail: detail.into(), fix: Some(fix.into()) }
    }
}
