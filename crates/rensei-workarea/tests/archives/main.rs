//! Archives of trees of every kind, and what is made from them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod differences;
mod full;
mod hostile;
mod kill;
#[path = "../common/small_disk.rs"]
mod small_disk;
mod trees;
mod whole;
