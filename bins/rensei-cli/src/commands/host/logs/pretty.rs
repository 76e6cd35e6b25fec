//! A log record as people read it.

use crate::output::{Output, Tone, text};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Characters of a time that are shown: up to the second.
const TIME_CHARS: usize = 19;
/// What is shown of every record, and so is no field of it.
const KNOWN: [&str; 3] = ["time", "level", "msg"];

/// Shows records as lines.
#[derive(Debug)]
pub(super) struct Pretty {
    output: Output,
    /// Whether every field is shown, and not only what went wrong.
    all_fields: bool,
}

impl Pretty {
    pub(super) const fn new(output: &Output, all_fields: bool) -> Self {
        Self { output: *output, all_fields }
    }

    /// Appends `line` to `out` as `<time> [<LEVEL>] <msg>` when it is a record, else unchanged.
    pub(super) fn line(&self, line: &[u8], out: &mut Vec<u8>) {
        match self.record(line) {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }

    fn record(&self, line: &[u8]) -> Option<String> {
        if line.first() != Some(&b'{') {
            return None;
        }
        let record: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let (time, level, msg) = (text("time"), text("level"), text("msg"));
        if time.is_empty() && level.is_empty() && msg.is_empty() {
            return None;
        }
        let time: String = text::clean(time).chars().take(TIME_CHARS).collect();
        let level = format!("[{:<4}]", text::clean(level).to_uppercase());
        let mut shown = format!("{time} {} {}", self.toned(&level), text::clean(msg));
        if self.all_fields {
            self.add_fields(&mut shown, &record);
        } else if let Some(error) = record.get("error").and_then(Value::as_str) {
            // Messages say what failed; without the cause that is half the story.
            write!(shown, ": {}", text::clean(error)).expect("writing to a String does not fail");
        }
        Some(shown)
    }

    fn toned(&self, level: &str) -> String {
        match level {
            "[ERROR]" => self.output.paint(Tone::Bad, level),
            "[WARN]" => self.output.paint(Tone::Notice, level),
            "[DEBUG]" => self.output.paint(Tone::Faint, level),
            _ => level.to_owned(),
        }
    }

    fn add_fields(&self, shown: &mut String, record: &Map<String, Value>) {
        for (name, value) in record.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let field = format!("{}={}", text::clean(name), text::clean(&value));
            write!(shown, "  {}", self.output.paint(Tone::Faint, field)).expect("writing to a String does not fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    fn shown(color: ColorChoice, all_fields: bool, text: &str) -> String {
        let mut out = Vec::new();
        let output = Output::new(color, &Environment::default());
        Pretty::new(&output, all_fields).line(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn pretty(text: &str) -> String {
        shown(ColorChoice::Never, false, text)
    }

    #[test]
    fn records_are_shortened_and_the_rest_stays() {
        let json = "{\"time\":\"2026-06-02T14:00:00.123Z\",\"level\":\"info\",\"msg\":\"message\",\"event\":\"x\"}\n";
        assert_eq!(pretty(json), "2026-06-02T14:00:00 [INFO] message\n");
        assert_eq!(shown(ColorChoice::Never, true, json), "2026-06-02T14:00:00 [INFO] message  event=x\n");
        assert_eq!(pretty("{\"msg\":\"m\"}\n"), " [    ] m\n");
        for other in ["plain\n", "{broken\n", "{\"a\":1}\n", "{\"msg\":\"\"}\n", "[1]\n", "\n", "no newline"] {
            assert_eq!(pretty(other), other);
        }
    }

    #[test]
    fn failures_show_their_cause() {
        let json = "{\"level\":\"warn\",\"msg\":\"poll failed\",\"error\":\"HTTP 500\"}\n";
        assert_eq!(pretty(json), " [WARN] poll failed: HTTP 500\n");
        assert_eq!(shown(ColorChoice::Always, false, json), " \u{1b}[33m[WARN]\u{1b}[0m poll failed: HTTP 500\n");
    }

    #[test]
    fn records_cannot_move_the_cursor_or_make_lines() {
        let json = r#"{"level":"info","msg":"a\nb\u001b[2Jc","error":"\u001b]0;x"}"#;
        assert_eq!(pretty(json), " [INFO] a bc: 0;x\n");
    }
}
