//! The text of a file as a tree that keeps every byte. The only place that knows the YAML editing crate.
//!
//! What comes out of an edit is checked by the caller against an independent parser, see `edit`.

use super::error::Location;
use super::names::Segment;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr as _;
use yaml_edit::path::YamlPath as _;
use yaml_edit::{MappingBuilder, ScalarValue, Sequence, YamlFile, YamlNode};

/// A value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A whole number.
    Number(u64),
    /// Text, quoted where YAML demands it.
    Text(String),
}

/// Nested text fields, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Text(&'static str, String),
    Group(&'static str, Vec<(&'static str, String)>),
}

/// Why an edit did not happen, for a person.
pub(super) type Refusal = String;

/// One YAML stream.
#[derive(Debug)]
pub(super) struct Document {
    file: YamlFile,
    text: String,
}

impl Document {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        // The other parser bounds how deep things nest; this one recurses as deep as they do.
        serde_yaml::from_str::<Option<serde_yaml::Value>>(text).map_err(|error| error.to_string())?;
        let file = guarded(|| YamlFile::from_str(text).map_err(|error| error.to_string()))?;
        let document = Self { file, text: text.to_owned() };
        if document.file.to_string() == text { Ok(document) } else { Err("it cannot be kept byte by byte".to_owned()) }
    }

    /// The text, with all edits.
    pub(super) fn into_text(self) -> String {
        self.file.to_string()
    }

    /// Where the value of `key` is or, when there is none, the nearest thing around it.
    pub(super) fn locate(&self, key: &str) -> Option<Location> {
        let segments = super::names::segments(key)?;
        let found = (1..=segments.len()).rev().find_map(|length| self.range(&segments[..length]))?;
        let before = self.text.get(..found.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// Bytes of the value at `key`.
    pub(super) fn range(&self, key: &[Segment]) -> Option<Range<usize>> {
        let node = guarded(|| self.node(key).ok_or_else(Refusal::new)).ok()?;
        let range = node.byte_range();
        Some(range.start as usize..range.end as usize)
    }

    fn node(&self, key: &[Segment]) -> Option<YamlNode> {
        self.file.document()?.try_get_path(&path(key)).ok()
    }

    /// The quotes around the value of `key`, which a new one gets too.
    fn quotes(&self, key: &[Segment]) -> Option<char> {
        let text = self.node(key)?.as_scalar()?.to_string();
        text.chars().next().filter(|first| matches!(first, '\'' | '"'))
    }

    /// All comments with their place, in order.
    pub(super) fn comments(&self) -> Vec<(usize, String)> {
        let place = |comment: yaml_edit::Comment| (comment.byte_range().start as usize, comment.text().to_owned());
        self.file.comments().map(place).collect()
    }

    /// Writes `value` at `key` and creates what lies between.
    pub(super) fn set(&mut self, key: &[Segment], value: &Scalar) -> Result<(), Refusal> {
        guarded(|| {
            let document = self.file.ensure_document();
            match value {
                Scalar::Number(number) => document.try_set_path(&path(key), *number),
                Scalar::Text(text) => document.try_set_path(&path(key), quoted(text, self.quotes(key))),
            }
            .map_err(|error| error.to_string())
        })
    }

    /// Adds an entry at the end of the list under the top-level key `list`.
    pub(super) fn push(&mut self, list: &str, entry: &[Field]) -> Result<(), Refusal> {
        guarded(|| {
            let document = self.file.ensure_document();
            if document.get_sequence(list).is_none() {
                let flow = document.as_mapping().is_some_and(|root| root.is_flow_style());
                document.set(list, if flow { Sequence::new_flow() } else { Sequence::new_pending_block() });
            }
            let sequence = document.get_sequence(list).ok_or("a new list cannot be found")?;
            sequence.push(mapping(entry).build_document().as_mapping().ok_or("a new entry is no mapping")?);
            Ok(())
        })
    }

    /// Removes an entry of the list under the top-level key `list`.
    pub(super) fn remove(&mut self, list: &str, index: usize) -> Result<(), Refusal> {
        guarded(|| {
            let sequence = self.file.document().and_then(|document| document.get_sequence(list));
            let removed = sequence.and_then(|sequence| sequence.remove(index));
            removed.map(|_entry| ()).ok_or_else(|| format!("`{list}[{index}]` is not there"))
        })
    }
}

fn mapping(fields: &[Field]) -> MappingBuilder {
    fields.iter().fold(MappingBuilder::new(), |builder, field| match field {
        Field::Text(key, text) => builder.pair(*key, quoted(text, None)),
        Field::Group(key, fields) => builder.mapping(*key, |group| {
            fields.iter().fold(group, |group, (key, text)| group.pair(*key, quoted(text, None)))
        }),
    })
}

/// `text` with these quotes, with those that it needs, or with none.
fn quoted(text: &str, quotes: Option<char>) -> ScalarValue {
    match quotes {
        // Only these quotes have escapes.
        _ if text.contains(char::is_control) => ScalarValue::double_quoted(text),
        Some('\'') => ScalarValue::single_quoted(text),
        Some(_) => ScalarValue::double_quoted(text),
        // Within `[…]` and `{…}` these end or split a plain scalar, in some parsers also right behind a colon.
        None if text.contains([',', '?', '[', ']', '{', '}']) => ScalarValue::single_quoted(text),
        None => ScalarValue::string(text),
    }
}

/// The crate's own spelling of a path.
fn path(key: &[Segment]) -> String {
    let mut text = String::new();
    for segment in key {
        match segment {
            Segment::Key(_) if text.is_empty() => {}
            Segment::Key(_) => text.push('.'),
            Segment::Index(_) => {}
        }
        match segment {
            Segment::Key(key) => text.push_str(key),
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// A file is the user's, but its text can be anything: a panic over it refuses the edit and nothing else.
fn guarded<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_panic| Err("it is too unusual to be edited safely".to_owned()))
}
