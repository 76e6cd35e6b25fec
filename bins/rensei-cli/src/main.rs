//! The rensei command

fn main() {}
