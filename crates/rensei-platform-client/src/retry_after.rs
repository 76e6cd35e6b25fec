//! The `Retry-After` header.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use std::time::Duration;

/// No control plane has a reason to silence a host for longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the answer asks to wait: seconds, or a date that is compared with the answer's own `Date`, so that the
/// clocks of the two machines need not agree.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = parse_date(text)?;
            let now = date(headers, &DATE).unwrap_or_else(Timestamp::now);
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    parse_date(headers.get(name)?.to_str().ok()?)
}

fn parse_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn parsed(retry_after_value: &'static str, date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after_value));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn both_forms() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parsed("7", None), Some(7));
        assert_eq!(parsed(" 0 ", None), Some(0));
        assert_eq!(parsed("99999999999", None), Some(86_400));
        assert_eq!(parsed("Sun, 06 Nov 1994 08:50:07 GMT", date), Some(30));
        assert_eq!(parsed("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(0));
        assert_eq!(parsed("Sun, 06 Nov 1994 08:50:07 GMT", None), Some(0));
        for bad in ["", "-1", "soon", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parsed(bad, date), None, "{bad}");
        }
    }
}
