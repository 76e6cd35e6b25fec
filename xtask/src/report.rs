//! What was measured, next to its limit and its goal.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is for the person who measures")]

use serde::Serialize;

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    what: String,
    unit: &'static str,
    measured: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// What the machine itself can do, measured in the same run.
#[derive(Debug, Clone, Serialize)]
struct Limit {
    what: String,
    measured: f64,
}

/// When a row is good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// At most so many times the limit.
    Times(f64),
    /// At least so many times the limit.
    AtLeastTimes(f64),
    /// At most so much.
    AtMost(f64),
    /// At least so much.
    AtLeast(f64),
}

impl Row {
    fn new(what: &str, unit: &'static str, measured: f64) -> Self {
        Self { what: what.to_owned(), unit, measured, limit: None, ratio: None, goal: None, met: None }
    }

    /// A duration in milliseconds.
    pub fn latency(what: &str, milliseconds: f64) -> Self {
        Self::new(what, "ms", milliseconds)
    }

    /// A rate per second.
    pub fn rate(what: &str, per_second: f64) -> Self {
        Self::new(what, "/s", per_second)
    }

    /// Resident memory in megabytes.
    pub fn memory(what: &str, megabytes: f64) -> Self {
        Self::new(what, "MB", megabytes)
    }

    /// Adds the limit of the same run.
    pub fn limit(mut self, what: &str, measured: f64) -> Self {
        self.limit = Some(Limit { what: what.to_owned(), measured });
        self.ratio = Some(self.measured / measured);
        self
    }

    /// Adds the goal and says whether it is met.
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.met = Some(match goal {
            Goal::Times(times) => self.ratio.is_some_and(|ratio| ratio <= times),
            Goal::AtLeastTimes(times) => self.ratio.is_some_and(|ratio| ratio >= times),
            Goal::AtMost(most) => self.measured <= most,
            Goal::AtLeast(least) => self.measured >= least,
        });
        self
    }
}

/// Load average from which on the figures say more about the neighbours than about the product.
const BUSY: f64 = 0.5;

/// All rows, in the order of measurement.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Load average of the last minute before the run: what else the machine was doing.
    load_before: Option<f64>,
    rows: Vec<Row>,
}

impl Report {
    /// An empty report that knows how busy the machine was.
    pub fn begin() -> Self {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self { load_before: text.split_whitespace().next().and_then(|load| load.parse().ok()), rows: Vec::new() }
    }

    /// Adds a row, and shows it to who waits.
    pub fn add(&mut self, row: Row) {
        eprintln!("  {}: {}", row.what, number(row.measured, row.unit));
        self.rows.push(row);
    }

    /// Prints everything, as one JSON document or as a table.
    pub fn print(&self, json: bool) {
        if json {
            let text = serde_json::to_string_pretty(self).expect("numbers and text are JSON");
            println!("{text}");
        } else {
            self.print_table();
        }
    }

    fn print_table(&self) {
        println!();
        println!("{:<34} {:>12}  {:<46} {:>6}  {:<14} met", "what", "measured", "limit in this run", "ratio", "goal");
        for row in &self.rows {
            println!("{}", table_line(row));
        }
        if let Some(load) = self.load_before.filter(|load| *load >= BUSY) {
            println!();
            println!(
                "load average before the run: {load}; other work is part of these numbers, so do not compare them"
            );
        }
    }
}

fn table_line(row: &Row) -> String {
    let limit = row.limit.as_ref().map(|limit| format!("{} ({})", number(limit.measured, row.unit), limit.what));
    let ratio = row.ratio.map(|ratio| format!("{ratio:.2}x"));
    let goal = row.goal.map(|goal| match goal {
        Goal::Times(times) => format!("<= {times}x"),
        Goal::AtLeastTimes(times) => format!(">= {times}x"),
        Goal::AtMost(most) => format!("<= {}", number(most, row.unit)),
        Goal::AtLeast(least) => format!(">= {}", number(least, row.unit)),
    });
    let met = row.met.map_or("", |met| if met { "met" } else { "NOT MET" });
    let line = format!(
        "{:<34} {:>12}  {:<46} {:>6}  {:<14} {met}",
        row.what,
        number(row.measured, row.unit),
        limit.unwrap_or_default(),
        ratio.unwrap_or_default(),
        goal.unwrap_or_default(),
    );
    line.trim_end().to_owned()
}

fn number(value: f64, unit: &str) -> String {
    if value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.2} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_by_its_kind() {
        let row = |goal| Row::latency("x", 3.0).limit("bare", 1.0).goal(goal).met;
        assert_eq!(row(Goal::Times(3.0)), Some(true));
        assert_eq!(row(Goal::Times(2.9)), Some(false));
        assert_eq!(row(Goal::AtMost(2.0)), Some(false));
        assert_eq!(row(Goal::AtLeast(2.0)), Some(true));
        assert_eq!(Row::latency("x", f64::NAN).goal(Goal::AtMost(1.0)).met, Some(false));
    }

    #[test]
    fn a_line_shows_limit_ratio_and_goal() {
        let line = table_line(&Row::latency("create", 2.0).limit("bare spawn", 0.5).goal(Goal::Times(4.0)));
        assert!(line.contains("2.00 ms") && line.contains("0.50 ms (bare spawn)") && line.contains("4.00x"), "{line}");
        assert!(line.ends_with("met"), "{line}");
    }
}
