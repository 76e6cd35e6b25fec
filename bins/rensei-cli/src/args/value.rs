//! Parsers of single values.

use rensei_proto::SessionId;
use std::time::Duration;

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
    fn assignments() {
        assert_eq!(assignment("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(assignment("=x").is_err() && assignment("A").is_err());
    }
}
