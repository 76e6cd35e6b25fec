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

/// Space between two columns.
const GAP: u16 = 2;

/// A table with the given headings. When a terminal is too narrow for it, columns named in `expendable` are left out,
/// the first one first; the rest is never broken, so that every value can be copied.
pub(crate) fn table<const N: usize>(
    output: &Output,
    headings: [&str; N],
    expendable: &[&str],
    rows: impl IntoIterator<Item = [Value; N]>,
) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let shown = fitting(&headings, expendable, &rows, output.width());
    draw(output, headings, &shown, rows)
}

/// Which columns are shown within `width` characters.
fn fitting<const N: usize>(
    headings: &[&str; N],
    expendable: &[&str],
    rows: &[[Value; N]],
    width: Option<usize>,
) -> [bool; N] {
    let widths: [usize; N] = std::array::from_fn(|n| {
        let values = rows.iter().map(|row| row[n].0.chars().count());
        values.chain([headings[n].chars().count()]).max().unwrap_or(0) + usize::from(GAP)
    });
    let mut shown = [true; N];
    for name in expendable {
        let total: usize = widths.iter().zip(shown).filter(|(_, shown)| *shown).map(|(width, _)| width).sum();
        if width.is_none_or(|width| total <= width + usize::from(GAP)) {
            break;
        }
        for (heading, shown) in headings.iter().zip(&mut shown) {
            *shown &= heading != name;
        }
    }
    shown
}

fn draw<const N: usize>(output: &Output, headings: [&str; N], shown: &[bool; N], rows: Vec<[Value; N]>) -> String {
    fn kept<T, const N: usize>(items: [T; N], shown: &[bool; N]) -> impl Iterator<Item = T> {
        items.into_iter().zip(*shown).filter(|(_, shown)| *shown).map(|(item, _)| item)
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if output.out_is_coloured() {
        table.enforce_styling();
    }
    table.set_header(kept(headings, shown));
    for row in rows {
        table.add_row(kept(row, shown).map(|value| value.into_cell(output.out_is_coloured())));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let text = table.to_string();
    text.lines().map(without_padding).collect::<Vec<_>>().join("\n")
}

/// How a coloured cell ends.
const END_OF_COLOUR: &str = "\u{1b}[39m";

/// A line without what pads its last cell, which is within the colour of that cell.
fn without_padding(line: &str) -> String {
    match line.trim_end().strip_suffix(END_OF_COLOUR) {
        Some(coloured) => format!("{}{END_OF_COLOUR}", coloured.trim_end()),
        None => line.trim_end().to_owned(),
    }
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
        assert_eq!(table(&plain, ["ID", "STATUS"], &[], rows()), "ID    STATUS\na     running\nlong  x");
        let coloured = Output::new(ColorChoice::Always, &Environment::default());
        assert!(table(&coloured, ["ID", "STATUS"], &[], rows()).contains("\u{1b}["));
        let last = [["a".into(), Value::toned(Tone::Good, "ok")]];
        assert!(table(&coloured, ["ID", "STATUS"], &[], last).ends_with("ok\u{1b}[39m"));
    }

    #[test]
    fn narrow_terminals_lose_columns_instead_of_breaking_values() {
        let rows = [["0123456789".into(), "running".into(), "a title".into(), "my-host".into()]];
        let (headings, expendable) = (["ID", "STATUS", "TITLE", "HOST"], ["HOST", "TITLE"]);
        let shown = |width| fitting::<4>(&headings, &expendable, &rows, width);
        assert_eq!(shown(None), [true; 4]);
        // 10 + 2 + 7 + 2 + 7 + 2 + 7: the gap behind the last column needs no room.
        assert_eq!(shown(Some(37)), [true; 4]);
        assert_eq!(shown(Some(36)), [true, true, true, false]);
        assert_eq!(shown(Some(27)), [true, true, false, false]);
        assert_eq!(shown(Some(3)), [true, true, false, false]);
        let plain = Output::new(ColorChoice::Never, &Environment::default());
        let text = draw(&plain, headings, &shown(Some(27)), rows.into_iter().collect());
        assert_eq!(text, "ID          STATUS\n0123456789  running");
    }
}
