//! The workers' output: kept within bounds, and carried into the daemon's log.
//!
//! Workers write straight into their files, so nothing here can slow them down or lose what they wrote. The log gets
//! a sample when a worker writes faster than people read; how much it left out is counted.

use super::Sessions;
use super::record::OUTPUT_FILE;
use rensei_process::output_log::{self, OutputLog, Piece};
use rensei_proto::SessionId;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(250);
/// Ticks between two looks at the size.
const BOUND_EVERY: u32 = 8;
/// End of an oversized log that is kept.
const KEEP_TAIL: u64 = 63 << 20;
/// The same for a session that has ended.
const KEEP_TAIL_AFTER: u64 = 3 << 20;
/// Bytes of one session that are carried per tick.
const CARRY_BYTES: usize = 16 * 1024;
/// Lines of one session that are carried per tick.
const CARRY_LINES: usize = 25;

/// How far a session's output is in the daemon's log, held by whoever carries more.
pub(super) type Carried = Arc<Mutex<u64>>;

pub(super) async fn follow(sessions: &Sessions) {
    let mut ticks = 0_u32;
    loop {
        // Nothing runs: sleep until something does, so that an idle host is really idle.
        if sessions.live.subscribe().wait_for(|live| *live > 0).await.is_err() {
            return;
        }
        tokio::time::sleep(TICK).await;
        ticks = ticks.wrapping_add(1);
        let bounds = ticks.is_multiple_of(BOUND_EVERY);
        let running: Vec<_> = sessions.with_table(|table| table.running_output().collect());
        let running: Vec<_> =
            running.into_iter().map(|(id, carried)| (sessions.directory(&id).join(OUTPUT_FILE), id, carried)).collect();
        // All of it waits for the disk.
        let look = move || {
            for (path, id, carried) in running {
                carry(&id, &path, &carried, Stage::Running);
                if bounds {
                    bound(&id, &path, KEEP_TAIL);
                }
            }
        };
        let _done = tokio::task::spawn_blocking(look).await;
    }
}

/// Whether there will be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Ended,
}

/// Carries what is left of a session that has ended, or says how much of it is left out.
pub(super) fn carry_rest(sessions: &Sessions, id: &SessionId) {
    let carried = sessions.with_table(|table| table.entry(id).map(|entry| Arc::clone(&entry.carried)));
    if let Some(carried) = carried {
        carry(id, &sessions.directory(id).join(OUTPUT_FILE), &carried, Stage::Ended);
    }
}

fn carry(id: &SessionId, path: &Path, carried: &Carried, stage: Stage) {
    let mut offset = carried.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = carry_from(&mut offset, id, path, stage) {
        tracing::debug!(session_id = %id, %error, "output not carried");
    }
}

fn carry_from(offset: &mut u64, id: &SessionId, path: &Path, stage: Stage) -> io::Result<()> {
    let log = OutputLog::open(path)?;
    let size = log.size()?;
    // Its worker may have shortened it.
    *offset = (*offset).min(size);
    let bytes = match log.read(*offset, CARRY_BYTES)? {
        Piece::Data(bytes) => bytes,
        Piece::Hole { until } => {
            left_out(id, offset, if stage == Stage::Ended { size } else { until });
            return Ok(());
        }
    };
    // Up to the last complete line, unless one line fills the whole window, or nobody goes on with it.
    let is_rest = stage == Stage::Ended && *offset + bytes.len() as u64 >= size;
    let last_break = bytes.iter().rposition(|byte| *byte == b'\n').filter(|_| !is_rest);
    let whole = last_break.map_or(bytes.len(), |at| at + 1);
    let mut carried = 0;
    for line in bytes[..whole].split(|byte| *byte == b'\n').take(CARRY_LINES) {
        carried += line.len() + 1;
        let text = output_log::plain_line(line);
        if !text.is_empty() {
            tracing::info!(sessionID = %id, stream = "output", "[child output sessionID={id}] {text}");
        }
    }
    *offset += carried.min(whole) as u64;
    let may_wait = if stage == Stage::Ended { 0 } else { CARRY_BYTES as u64 };
    if size.saturating_sub(*offset) > may_wait {
        left_out(id, offset, size);
    }
    Ok(())
}

fn left_out(id: &SessionId, offset: &mut u64, until: u64) {
    let bytes = until.saturating_sub(*offset);
    tracing::info!(event = "dropped", sessionID = %id, bytes, "output is in its file only");
    *offset = until;
}

/// Keeps less of the output of a session that has ended: many of those are remembered.
pub(super) fn bound_ended(id: &SessionId, path: &Path) {
    bound(id, path, KEEP_TAIL_AFTER);
}

fn bound(id: &SessionId, path: &Path, tail: u64) {
    match output_log::bound(path, tail) {
        Ok(Some(range)) => {
            tracing::warn!(event = "dropped", sessionID = %id, from = range.start, to = range.end, "output log bounded");
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(session_id = %id, %error, "output log could not be bounded"),
    }
}
