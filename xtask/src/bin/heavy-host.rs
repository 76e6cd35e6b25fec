//! A host inside a program with a large heap, for `cargo xtask bench runtime`: what an embedder's daemon may look like.
//!
//! `heavy-host <state root> <port> <megabytes> <worker>`
#![allow(clippy::print_stderr, reason = "a program that reports to people")]

use rensei_control_api::ControlListener;
use rensei_daemon_core::Daemon;
use std::error::Error;
use std::ffi::OsString;
use std::hint::black_box;
use std::path::PathBuf;

const MEGABYTE: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let mut next = || args.next().ok_or("usage: heavy-host <state root> <port> <megabytes> <worker>");
    let (root, port) = (PathBuf::from(next()?), number(&next()?)?);
    let (megabytes, worker) = (number(&next()?)?, next()?);
    // Each page written, so that a copy of this process would have to copy its tables.
    let heap: Vec<Vec<u8>> = (0..megabytes).map(|byte| vec![byte.to_le_bytes()[0] | 1; MEGABYTE]).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(root, port, worker))?;
    black_box(heap);
    Ok(())
}

fn number(text: &OsString) -> Result<u16, Box<dyn Error>> {
    Ok(text.to_string_lossy().parse()?)
}

async fn serve(root: PathBuf, port: u16, worker: OsString) -> Result<(), Box<dyn Error>> {
    let daemon = Daemon::builder(root).worker_command(vec![worker]).build()?;
    let listener = ControlListener::bind("127.0.0.1", port)?;
    let daemon = daemon.with_control_url(&listener.url());
    let api = tokio::spawn(listener.serve(daemon.handle(), std::future::pending()));
    daemon.run().await;
    api.abort();
    Ok(())
}
