//! A log record as people read it.

use serde_json::{Map, Value};

/// Characters of a time that are shown: up to the second.
const TIME_CHARS: usize = 19;

/// Appends `line` to `out` as `<time> [<LEVEL>] <msg>` when it is a record, else unchanged.
pub(super) fn line(line: &[u8], out: &mut Vec<u8>) {
    match record(line) {
        Some(text) => {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        }
        None => out.extend_from_slice(line),
    }
}

fn record(line: &[u8]) -> Option<String> {
    if line.first() != Some(&b'{') {
        return None;
    }
    let record: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let (time, level, msg) = (text("time"), text("level"), text("msg"));
    if time.is_empty() && level.is_empty() && msg.is_empty() {
        return None;
    }
    let time: String = time.chars().take(TIME_CHARS).collect();
    Some(format!("{time} [{:<4}] {msg}", level.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretty(text: &str) -> String {
        let mut out = Vec::new();
        line(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_shortened_and_the_rest_stays() {
        let json = "{\"time\":\"2026-06-02T14:00:00.123Z\",\"level\":\"info\",\"msg\":\"message\",\"event\":\"x\"}\n";
        assert_eq!(pretty(json), "2026-06-02T14:00:00 [INFO] message\n");
        assert_eq!(pretty("{\"msg\":\"m\"}\n"), " [    ] m\n");
        for other in ["plain\n", "{broken\n", "{\"a\":1}\n", "{\"msg\":\"\"}\n", "[1]\n", "\n", "no newline"] {
            assert_eq!(pretty(other), other);
        }
    }
}
