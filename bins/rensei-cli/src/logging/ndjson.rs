//! Log records as compact JSON, one per line: `time`, `level`, `msg`, `event`, then the record's own fields.

use super::file::LogWriter;
use serde_json::Value;
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Longest text value of a field, in bytes.
const MAX_VALUE_BYTES: usize = 16 * 1024;
/// Keys of every record; a field of such a name gets a trailing underscore.
const RESERVED: [&str; 3] = ["time", "level", "msg"];

/// Writes records as NDJSON.
#[derive(Debug)]
pub(super) struct NdjsonLayer {
    writer: LogWriter,
}

impl NdjsonLayer {
    /// Records go to `writer`.
    pub(super) fn new(writer: LogWriter) -> Self {
        Self { writer }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for NdjsonLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.inherit(outer);
            }
        }
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        self.writer.send(line(&rensei_proto::rfc3339_millis(jiff::Timestamp::now()), &level, &fields));
    }
}

/// Fields of a record or a span, in the order of their arrival.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    event: Option<Value>,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => self.message = value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            "event" => self.event = Some(value),
            name => match self.rest.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.rest.push((name, value)),
            },
        }
    }

    /// Takes what a surrounding span says and the record itself does not.
    fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.rest {
            if !self.rest.iter().any(|(known, _)| known == name) {
                self.rest.push((name, value.clone()));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(bounded(format!("{value:?}"))));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(bounded(value.to_owned())));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Value::String(bounded(rensei_proto::error_chain(value))));
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_VALUE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_VALUE_BYTES));
        text.push('…');
    }
    text
}

/// One record with its newline. `serde_json` would sort the keys, and people read `time` first.
fn line(time: &str, level: &str, fields: &Fields) -> String {
    let mut line = format!(r#"{{"time":"{time}","level":"{level}","msg":{}"#, Value::from(fields.message.as_str()));
    if let Some(event) = &fields.event {
        push(&mut line, "event", event);
    }
    for (name, value) in &fields.rest {
        let name = if RESERVED.contains(name) { format!("{name}_") } else { (*name).to_owned() };
        push(&mut line, &name, value);
    }
    line.push_str("}\n");
    line
}

fn push(line: &mut String, name: &str, value: &Value) {
    write!(line, ",{}:{value}", Value::from(name)).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::super::LogFile;
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn records_are_compact_json_with_the_known_keys_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let file = LogFile::open(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(NdjsonLayer::new(file.writer()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("session", sessionId = "s1", level = 3);
            let _entered = span.enter();
            tracing::info!(event = "claimed", n = 2, ok = true, "took \"it\"\n");
        });
        drop(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let (time, rest) = text.split_once(",\"level\"").unwrap();
        assert!(time.starts_with(r#"{"time":"2"#) && time.ends_with("Z\""), "{time}");
        let expected =
            r#":"info","msg":"took \"it\"\n","event":"claimed","n":2,"ok":true,"sessionId":"s1","level_":3}"#;
        assert_eq!(rest, format!("{expected}\n"));
        serde_json::from_str::<Value>(&text).unwrap();
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let cut = bounded("ü".repeat(MAX_VALUE_BYTES));
        assert!(cut.len() <= MAX_VALUE_BYTES + 3 && cut.ends_with("ü…"));
    }
}
