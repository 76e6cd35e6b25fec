//! Tables without borders.

use super::{Output, Tone};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

/// One value, with its meaning.
#[derive(Debug, Clone)]
pub(crate) struct Value(String, Option<Tone>);

impl Value {
    /// A value whose meaning is shown by colour.
    pub(crate) fn toned(tone: Tone, text: impl ToString) -> Self {
        Self(text.to_string(), Some(tone))
    }

    fn into_cell(self, colour: bool) -> Cell {
        let cell = Cell::new(self.0);
        match self.1.filter(|_| colour) {
            Some(Tone::Good) => cell.fg(Color::DarkGreen),
            Some(Tone::Notice) => cell.fg(Color::DarkYellow),
            Some(Tone::Busy) => cell.fg(Color::DarkCyan),
            Some(Tone::Bad) => cell.fg(Color::DarkRed),
            Some(Tone::Faint) => cell.fg(Color::DarkGrey),
            Some(Tone::Strong) | None => cell,
        }
    }
}

impl<T: Into<String>> From<T> for Value {
    fn from(text: T) -> Self {
        Self(text.into(), None)
    }
}

/// A table with the given headings; it fits the terminal when there is one.
pub(crate) fn table<const N: usize>(
    output: &Output,
    headings: [&str; N],
    rows: impl IntoIterator<Item = [Value; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if output.out_is_coloured() {
        table.enforce_styling();
    }
    table.set_header(headings);
    for row in rows {
        table.add_row(row.map(|value| value.into_cell(output.out_is_coloured())));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let rows = || [["a".into(), Value::toned(Tone::Busy, "running")], ["long".into(), "x".into()]];
        let plain = Output::new(ColorChoice::Never, &Environment::default());
        assert_eq!(table(&plain, ["ID", "STATUS"], rows()), "ID    STATUS\na     running\nlong  x");
        let coloured = Output::new(ColorChoice::Always, &Environment::default());
        assert!(table(&coloured, ["ID", "STATUS"], rows()).contains("\u{1b}["));
    }
}
