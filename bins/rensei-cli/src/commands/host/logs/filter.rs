//! Which lines of the log are wanted.

use crate::args::host::{LogFilterArgs, LogLevel};
use crate::output::time::parse_ms;
use rensei_proto::SessionId;
use serde_json::{Map, Value};

/// Fields in which records name their session; earlier daemons of the family spell it differently.
const SESSION_FIELDS: [&str; 3] = ["session_id", "sessionId", "sessionID"];

/// What a line must be to be shown.
#[derive(Debug, Default)]
pub(super) struct Filter {
    session: Option<SessionId>,
    level: Option<LogLevel>,
    /// Unix milliseconds, from (inclusive) and to (exclusive).
    since: Option<i64>,
    until: Option<i64>,
    grep: Option<regex_lite::Regex>,
}

impl Filter {
    /// What was asked for at `now_ms`.
    pub(super) fn new(args: &LogFilterArgs, now_ms: i64) -> Self {
        Self {
            session: args.session.clone(),
            level: args.level,
            since: args.since.map(|moment| moment.resolve(now_ms)),
            until: args.until.map(|moment| moment.resolve(now_ms)),
            grep: args.grep.clone(),
        }
    }

    /// Whether every line is wanted.
    pub(super) const fn is_open(&self) -> bool {
        self.grep.is_none() && !self.asks_for_fields()
    }

    const fn asks_for_fields(&self) -> bool {
        self.session.is_some() || self.level.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// Whether `line` is wanted. What is no record has no fields, so it is not when a field is asked for.
    pub(super) fn is_wanted(&self, line: &[u8]) -> bool {
        let matches = |pattern: &regex_lite::Regex| pattern.is_match(String::from_utf8_lossy(line).trim_end());
        if !self.grep.as_ref().is_none_or(matches) {
            return false;
        }
        !self.asks_for_fields() || serde_json::from_slice(line).is_ok_and(|record| self.is_wanted_record(&record))
    }

    fn is_wanted_record(&self, record: &Map<String, Value>) -> bool {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        let time = text("time").and_then(parse_ms);
        let is_of = |id: &SessionId| SESSION_FIELDS.iter().any(|field| text(field) == Some(id.as_str()));
        self.session.as_ref().is_none_or(is_of)
            && self.level.is_none_or(|least| text("level").and_then(level).is_some_and(|level| level >= least))
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

/// A level by its name, in any case.
fn level(name: &str) -> Option<LogLevel> {
    let known = [
        ("trace", LogLevel::Debug),
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("warning", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    known.into_iter().find(|(word, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] =
        br#"{"time":"2026-06-02T14:00:00.500Z","level":"warn","msg":"poll failed","session_id":"s1"}"#;

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let at = parse_ms("2026-06-02T14:00:00.500Z");
        let later = at.map(|at| at + 1);
        let regex = |text: &str| regex_lite::Regex::new(text).ok();
        let session = |id: &str| SessionId::parse(id).ok();
        for (filter, wanted) in [
            (Filter::default(), true),
            (Filter { session: session("s1"), ..Filter::default() }, true),
            (Filter { session: session("s"), ..Filter::default() }, false),
            (Filter { level: Some(LogLevel::Warn), ..Filter::default() }, true),
            (Filter { level: Some(LogLevel::Error), ..Filter::default() }, false),
            (Filter { since: at, ..Filter::default() }, true),
            (Filter { since: later, ..Filter::default() }, false),
            (Filter { until: later, ..Filter::default() }, true),
            (Filter { until: at, ..Filter::default() }, false),
            (Filter { grep: regex("poll .*ed"), ..Filter::default() }, true),
            (Filter { grep: regex("^poll"), ..Filter::default() }, false),
            (Filter { level: Some(LogLevel::Warn), session: session("x"), ..Filter::default() }, false),
        ] {
            assert_eq!(filter.is_wanted(RECORD), wanted, "{filter:?}");
        }
    }

    #[test]
    fn other_lines_have_no_fields() {
        let by_level = Filter { level: Some(LogLevel::Debug), ..Filter::default() };
        let by_text = Filter { grep: regex_lite::Regex::new("pla").ok(), ..Filter::default() };
        for line in [&b"plain\n"[..], b"[1]\n", b"{\"level\":3}\n", b"\xff pla\n"] {
            assert!(!by_level.is_wanted(line));
        }
        assert!(by_text.is_wanted(b"\xff plain\n") && Filter::default().is_open() && !by_text.is_open());
    }
}
