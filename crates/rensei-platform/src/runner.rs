//! Dispatch lanes: which generation of host a session is for.

use serde_json::Value;

/// A dispatch lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Runner {
    /// Served by this project's daemon and by the Go daemon it replaces.
    Go,
    /// Served by workers of the older generation.
    Ts,
}

impl Runner {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Ts => "ts",
        }
    }

    /// The lane behind a stored word; anything unknown is the older one.
    pub(crate) fn from_word(word: &str) -> Self {
        if word == "go" { Self::Go } else { Self::Ts }
    }

    /// The lane of a new session: `runner_default` of the organisation's features. Closed on failure: only the JSON
    /// string `"go"`, exactly, opens the newer lane.
    pub(crate) fn of_new_session(org_features: Option<&str>) -> Self {
        let features = org_features.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let word = features.as_ref().and_then(|features| features.get("runner_default")).and_then(Value::as_str);
        word.map_or(Self::Ts, Self::from_word)
    }

    /// The lane that a host serves: what it says, else what its `User-Agent` tells.
    pub(crate) fn of_host(runtime: &str, user_agent: Option<&str>) -> Self {
        match runtime {
            "" if user_agent.is_some_and(|agent| agent.starts_with("rensei-daemon/")) => Self::Go,
            word => Self::from_word(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_word_opens_the_newer_lane() {
        assert_eq!(Runner::of_new_session(Some(r#"{"runner_default":"go"}"#)), Runner::Go);
        let closed = [
            r#"{"runner_default":"ts"}"#,
            "{}",
            "null",
            "7",
            "[]",
            r#""go""#,
            r#"{"runner_default":null}"#,
            r#"{"runner_default":true}"#,
            r#"{"runner_default":["go"]}"#,
            r#"{"runner_default":"Go"}"#,
            r#"{"runner_default":" go"}"#,
            r#"{"runner_default":"golang"}"#,
            r#"{"runner_default":""}"#,
            "{broken",
        ];
        for features in closed {
            assert_eq!(Runner::of_new_session(Some(features)), Runner::Ts, "{features}");
        }
        assert_eq!(Runner::of_new_session(None), Runner::Ts);
    }

    #[test]
    fn a_host_is_believed_then_recognised_then_taken_for_old() {
        assert_eq!(Runner::of_host("go", None), Runner::Go);
        assert_eq!(Runner::of_host("ts", Some("rensei-daemon/1")), Runner::Ts);
        assert_eq!(Runner::of_host("", Some("rensei-daemon/0.5.0")), Runner::Go);
        assert_eq!(Runner::of_host("", Some("curl/8")), Runner::Ts);
        assert_eq!(Runner::of_host("", None), Runner::Ts);
    }
}
