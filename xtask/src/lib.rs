//! What the benchmarks have in common: what they are told, how they keep times, and how they report.

mod options;
mod report;
mod samples;

pub use options::Options;
pub use report::{Goal, Report, Row};
pub use samples::{Samples, milliseconds};
