//! What an answer must look like, written as JSON.

use crate::fixture::Reply;
use serde_json::Value;
use std::collections::BTreeSet;

/// Compares answers with shapes and remembers what it saw.
///
/// In a shape a text names a type or, behind `=`, the words of which the value must be one; a list has elements of one
/// shape; a field that the shape does not name is wrong. `name?` may be missing, but some answer to the same row must
/// have it; `name*` may be missing, as nothing here brings it about.
#[derive(Default)]
pub(super) struct Contract {
    faults: Vec<String>,
    optional: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl Contract {
    /// Compares one answer. `row` names the row of the matrix.
    pub(super) fn check(&mut self, row: &str, reply: &Reply, status: u16, shape: &Value) {
        if reply.status != status {
            return self.fault(row, &format!("status {} instead of {status}: {}", reply.status, reply.body));
        }
        if reply.header("content-type") != Some("application/json") || !reply.body.ends_with('\n') {
            return self.fault(row, &format!("no JSON document with its newline: {reply:?}"));
        }
        match serde_json::from_str(&reply.body) {
            Ok(value) => self.value(shape, &value, row),
            Err(error) => self.fault(row, &error.to_string()),
        }
    }

    /// Compares a part of an answer. `path` leads to it, without the indices of lists.
    pub(super) fn value(&mut self, shape: &Value, value: &Value, path: &str) {
        match (shape, value) {
            (Value::String(kind), value) if is(kind, value) => {}
            (Value::Array(shapes), Value::Array(values)) => {
                values.iter().for_each(|value| self.value(&shapes[0], value, &format!("{path}[]")));
            }
            (Value::Object(shapes), Value::Object(fields)) => {
                let known: Vec<&str> = shapes.keys().map(|name| name.trim_end_matches(['?', '*'])).collect();
                for (name, (known, shape)) in shapes.keys().zip(known.iter().zip(shapes.values())) {
                    let place = format!("{path}.{known}");
                    if name.ends_with('?') {
                        self.optional.insert(place.clone());
                    }
                    match fields.get(*known) {
                        Some(value) => {
                            self.value(shape, value, &place);
                            self.seen.insert(place);
                        }
                        None if name.ends_with(['?', '*']) => {}
                        None => self.fault(&place, "missing"),
                    }
                }
                for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
                    self.fault(path, &format!("`{name}` is not known"));
                }
            }
            _ => self.fault(path, &format!("{value} is not {shape}")),
        }
    }

    fn fault(&mut self, place: &str, what: &str) {
        self.faults.push(format!("{place}: {what}"));
    }

    /// Fails unless every answer fitted.
    pub(super) fn holds(&self) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }

    /// Fails unless every answer fitted and every `name?` was seen.
    pub(super) fn holds_in_full(&self) {
        self.holds();
        let unseen: Vec<_> = self.optional.difference(&self.seen).collect();
        assert!(unseen.is_empty(), "no answer had {unseen:#?}");
    }
}

fn is(kind: &str, value: &Value) -> bool {
    let instant = |text: &str| text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    match kind {
        "string" => value.is_string(),
        "word" => value.as_str().is_some_and(|text| !text.is_empty()),
        "int" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "bool" => value.is_boolean(),
        // Whole seconds, and whatever precision.
        "time" => value.as_str().is_some_and(|text| text.len() == 20 && instant(text)),
        "instant" => value.as_str().is_some_and(instant),
        "sha256" => value.as_str().is_some_and(|text| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())),
        "object" => value.is_object(),
        words => {
            let words = words.strip_prefix('=').expect("a known type, or words behind `=`");
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            words.split('|').any(|word| word == text)
        }
    }
}
