//! Parsers of single values.

use jiff::Timestamp;
use rensei_proto::SessionId;
use std::time::Duration;

/// A point in time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At this time.
    At(Timestamp),
    /// This long before now.
    Ago(Duration),
}

impl Moment {
    /// The time, in Unix milliseconds.
    pub(crate) fn resolve(self, now_ms: i64) -> i64 {
        match self {
            Self::At(time) => time.as_millisecond(),
            Self::Ago(span) => now_ms.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

/// RFC 3339, or a [`duration`] ago, which may also be in days.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse() {
        return Ok(Moment::At(time));
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(24 * 3600));
    let span = days.map(Duration::from_secs).map_or_else(|| duration(text), Ok);
    span.map(Moment::Ago)
        .map_err(|_| "use a time such as `2026-06-02T14:00:00Z`, or `90s`, `15m`, `2h`, `1d`".to_owned())
}

/// Seconds (`90`), or a number with a unit (`90s`, `15m`, `2h`).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("use seconds, or a number with s, m or h, such as `90` or `15m`".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| "use whole seconds, such as `90`, or `15m`".to_owned())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(|| "that is too long".to_owned())
}

/// A [`duration`] that is not zero.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("use at least one second".to_owned()),
        some => Ok(some),
    }
}

/// A [`duration`], also in days (`7d`).
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(24 * 3600));
    days.map(Duration::from_secs)
        .map_or_else(|| duration(text), Ok)
        .map_err(|_| "use `90s`, `15m`, `2h` or `7d`".to_owned())
}

/// Bytes (`4096`), or a number with a unit (`500M`, `5G`) of 1024 each.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err("use bytes, or a number with K, M, G or T, such as `500M`".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| "use a whole number, such as `500M`".to_owned())?;
    count.checked_mul(1 << shift).ok_or_else(|| "that is too much".to_owned())
}

/// `NAME=VALUE`.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("use NAME=VALUE".to_owned()),
    }
}

/// A session's id.
pub(crate) fn session_id(text: &str) -> Result<SessionId, String> {
    SessionId::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["", "m", "1.5", "-1", "3d", "99999999999999999999", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_and_sizes() {
        assert_eq!((age("7d"), age("90")), (Ok(Duration::from_secs(604_800)), Ok(Duration::from_secs(90))));
        assert_eq!((bytes("5G"), bytes("0"), bytes("2KiB")), (Ok(5 << 30), Ok(0), Ok(2048)));
        for bad in ["", "G", "1.5G", "-1", "5X", "99999999999T"] {
            assert!(bytes(bad).is_err() && age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(moment("2d"), Ok(Moment::Ago(Duration::from_secs(172_800))));
        assert_eq!(moment("90s").unwrap().resolve(100_000), 10_000);
        assert_eq!(moment("1970-01-01T00:00:01Z").unwrap().resolve(0), 1000);
        assert_eq!(moment("1970-01-01T01:00:01+01:00").unwrap().resolve(0), 1000);
        assert_eq!(Moment::Ago(Duration::MAX).resolve(0), -i64::MAX);
        for bad in ["", "d", "yesterday", "-1d", "99999999999999999999d"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn assignments() {
        assert_eq!(assignment("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(assignment("=x").is_err() && assignment("A").is_err());
    }
}
