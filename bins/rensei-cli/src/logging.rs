//! Where log records go: NDJSON into the daemon's log file, lines for people on stderr.

mod file;
mod ndjson;

pub(crate) use file::LogFile;

use crate::output::Output;
use ndjson::NdjsonLayer;
use std::io;
use std::path::Path;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Levels of what our crates and all others log.
fn filter(ours: LevelFilter, others: LevelFilter) -> Targets {
    Targets::new().with_default(others).with_target("rensei", ours)
}

/// Filter of stderr: warnings; information with `-v`, everything with `-vv`.
fn stderr_filter(verbose: u8) -> Targets {
    match verbose {
        0 => filter(LevelFilter::WARN, LevelFilter::ERROR),
        1 => filter(LevelFilter::INFO, LevelFilter::WARN),
        _ => filter(LevelFilter::DEBUG, LevelFilter::INFO),
    }
}

/// Lines for people on stderr.
fn stderr_layer(output: &Output, verbose: u8) -> Box<dyn Layer<Registry> + Send + Sync> {
    tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(output.err_is_coloured())
        .with_target(false)
        .without_time()
        .log_internal_errors(false)
        .with_filter(stderr_filter(verbose))
        .boxed()
}

/// Logs to stderr alone.
pub(crate) fn to_stderr(output: &Output, verbose: u8) {
    // A second subscriber in one process can only come from a test; the first one stays.
    let _already_set = tracing_subscriber::registry().with(stderr_layer(output, verbose)).try_init();
}

/// Logs to stderr and, as NDJSON, to `path`. The answer flushes the file when it is dropped.
pub(crate) fn to_file(output: &Output, verbose: u8, path: &Path) -> io::Result<LogFile> {
    let file = LogFile::open(path)?;
    let level = if verbose > 1 { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let ndjson = NdjsonLayer::new(file.writer()).with_filter(filter(level, LevelFilter::WARN));
    let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![ndjson.boxed(), stderr_layer(output, verbose)];
    let _already_set = tracing_subscriber::registry().with(layers).try_init();
    Ok(file)
}
