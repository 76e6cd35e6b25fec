//! Times and durations for people.

use jiff::Timestamp;
use std::time::Duration;

/// Seconds as `4h23m`, `2m5s`, `45s`; parts that are zero are left out.
pub(crate) fn uptime(seconds: u64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A duration: `8 ms`, `1.25 s`, then as [`uptime`].
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..10_000 => format!("{:.2} s", ms as f64 / 1000.0),
        ms @ 10_000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => uptime(duration.as_secs()),
    }
}

/// Time between two Unix millisecond times; nothing when they are the wrong way round.
pub(crate) fn between(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0))
}

/// How long ago: `12s ago`, `3m ago`, `4h ago`, `2d ago`.
pub(crate) fn ago(then_ms: i64, now_ms: i64) -> String {
    age(then_ms, now_ms).map_or_else(|| "just now".to_owned(), |age| format!("{age} ago"))
}

/// How old: `12s`, `3m`, `4h`, `2d`; nothing within a second.
pub(crate) fn age(then_ms: i64, now_ms: i64) -> Option<String> {
    match between(then_ms, now_ms).as_secs() {
        0 => None,
        s @ 1..60 => Some(format!("{s}s")),
        s @ 60..3600 => Some(format!("{}m", s / 60)),
        s @ 3600..86_400 => Some(format!("{}h", s / 3600)),
        s => Some(format!("{}d", s / 86_400)),
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Unix milliseconds as RFC 3339, whole seconds.
pub(crate) fn absolute(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "-".to_owned(), rensei_proto::rfc3339_seconds)
}

/// Unix milliseconds as the time of the day, UTC: `15:04:05`.
pub(crate) fn clock(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "-".to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

/// RFC 3339 as Unix milliseconds.
pub(crate) fn parse_ms(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_leave_out_zero_parts() {
        let texts = [0, 45, 125, 3600, 15_780].map(uptime);
        assert_eq!(texts, ["0s", "45s", "2m5s", "1h", "4h23m"]);
    }

    #[test]
    fn spans_and_ages() {
        let texts = [8, 1250, 12_340, 125_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(texts, ["8 ms", "1.25 s", "12.3 s", "2m5s"]);
        let ages = [500, 12_000, 200_000, 7_300_000, 200_000_000].map(|ms| ago(0, ms));
        assert_eq!(ages, ["just now", "12s ago", "3m ago", "2h ago", "2d ago"]);
        assert_eq!(ago(5, 0), "just now");
        assert_eq!(absolute(parse_ms("2026-06-02T14:00:00.250Z").unwrap()), "2026-06-02T14:00:00Z");
        assert_eq!(absolute(i64::MAX), "-");
    }
}
