//! Labelled values, one per line: `  Label:   value`.

use std::fmt::Display;

/// Narrowest column of values, counted from the line's start.
const MIN_COLUMN: usize = 13;

/// Rows that share one column of values.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<(String, String)>);

impl Rows {
    /// No rows.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, label: &str, value: impl Display) -> &mut Self {
        self.0.push((format!("{label}:"), value.to_string()));
        self
    }

    /// Adds a row unless the value is absent or empty.
    pub(crate) fn add_some(&mut self, label: &str, value: Option<impl Display>) -> &mut Self {
        match value.map(|value| value.to_string()).filter(|text| !text.is_empty()) {
            Some(text) => self.add(label, text),
            None => self,
        }
    }

    /// Adds a line below the row before.
    pub(crate) fn more(&mut self, value: impl Display) -> &mut Self {
        self.0.push((String::new(), value.to_string()));
        self
    }
}

impl Display for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let widest = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let width = (MIN_COLUMN - 2).max(widest + 1);
        for (n, (label, value)) in self.0.iter().enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            write!(f, "{newline}  {label:width$}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_share_a_column() {
        let mut rows = Rows::new();
        rows.add("PID", 7).add("Timestamp", "now").add_some("None", None::<u8>).more("below");
        assert_eq!(rows.to_string(), "  PID:       7\n  Timestamp: now\n             below");
    }
}
