//! Archives of trees of every kind, and what is made from them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod differences;
mod hostile;
mod trees;
mod whole;
