//! Updates of the daemon's own program.

use serde::{Deserialize, Serialize};

/// How an update ended, or that it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateResult {
    /// Whether the program was replaced.
    pub updated: bool,
    /// Version that is in place now.
    pub version: String,
    /// Why, such as `already-up-to-date` or `update-applied`; empty while it runs.
    pub reason: String,
    /// The same in one word. *Extension.*
    #[serde(default)]
    pub outcome: UpdateOutcome,
    /// When it began, or ended, RFC 3339, whole seconds. *Extension.*
    #[serde(default)]
    pub at: String,
}

/// What becomes of an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOutcome {
    /// It runs.
    Started,
    /// There is nothing newer.
    NoOp,
    /// What there is must not be installed.
    Refused,
    /// It did not work, or somebody stopped, drained or resumed the host meanwhile.
    Failed,
    /// A newer version is in place; the daemon ends, to be started again.
    Replaced,
    /// Something that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl UpdateOutcome {
    /// Those with which an update ends.
    pub const ENDS: [Self; 4] = [Self::NoOp, Self::Refused, Self::Failed, Self::Replaced];

    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::NoOp => "no-op",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Replaced => "replaced",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_those_of_the_go_package_with_more() {
        let go = r#"{"updated":true,"version":"1.2.3","reason":"update-applied"}"#;
        let result: UpdateResult = serde_json::from_str(go).unwrap();
        assert_eq!((result.outcome, result.at.as_str()), (UpdateOutcome::Unknown, ""));
        for outcome in UpdateOutcome::ENDS.into_iter().chain([UpdateOutcome::Started]) {
            let json = serde_json::to_value(UpdateResult { outcome, ..result.clone() }).unwrap();
            assert_eq!(json["outcome"], outcome.name());
            assert_eq!(json["reason"], "update-applied");
        }
        let newer = r#"{"updated":false,"version":"","reason":"","outcome":"postponed","at":""}"#;
        assert_eq!(serde_json::from_str::<UpdateResult>(newer).unwrap().outcome, UpdateOutcome::Unknown);
    }
}
