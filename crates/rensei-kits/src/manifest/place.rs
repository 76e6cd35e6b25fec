//! Where in a manifest a key stands.

use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Place {
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let shown = before[start..].trim_start_matches('\u{feff}');
        Self { line, column: shown.chars().count() + 1 }
    }

    pub(super) fn suffix(&self) -> String {
        format!(":{self}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The key whose value is or holds `span`, the deepest one.
pub(super) fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(name, value)| below(name.get_ref().to_string(), value, span))
}

fn below(path: String, value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    let deeper = match value.get_ref() {
        DeValue::Table(table) => {
            table.iter().find_map(|(name, value)| below(format!("{path}.{}", name.get_ref()), value, span))
        }
        DeValue::Array(items) => {
            items.iter().enumerate().find_map(|(index, value)| below(format!("{path}[{index}]"), value, span))
        }
        _ => None,
    };
    let holds = value.span().start <= span.start && span.end <= value.span().end;
    deeper.or_else(|| holds.then_some(path))
}

/// Where the value of `key` is, or else the deepest table on the way to it.
pub(super) fn of_key(text: &str, table: &DeTable<'_>, key: &str) -> Option<Place> {
    let mut steps = steps(key);
    let first = steps.next()?;
    let mut value = table.get(first)?;
    for step in steps {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.get(step),
            DeValue::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    let start = value.span().start;
    let start = if text[start..].starts_with('[') && !text[start..].starts_with("[\"") { start + 1 } else { start };
    Some(Place::of(text, start))
}

/// `a.b[0].c` and `a.b.0.c` as `a`, `b`, `0`, `c`.
fn steps(key: &str) -> impl Iterator<Item = &str> {
    key.split(['.', '[', ']']).filter(|step| !step.is_empty())
}
