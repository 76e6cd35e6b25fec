//! Writes the time at which it started into `stamp.ns` in its working directory and ends: the worker that the
//! dispatch benchmark starts, once through the whole product and once by a bare spawn.
//!
//! The time is `CLOCK_MONOTONIC` in nanoseconds, which all processes of a machine share.

use std::process::ExitCode;

fn main() -> ExitCode {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    // Renamed into place, so that a reader never sees half a number.
    let written = std::fs::write("stamp.ns.part", nanoseconds.to_string());
    match written.and_then(|()| std::fs::rename("stamp.ns.part", "stamp.ns")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
