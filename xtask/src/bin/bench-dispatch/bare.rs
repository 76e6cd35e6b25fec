//! The limit: the same program, started by nothing but the standard library.

use crate::error::BenchError;
use crate::stats::now_ns;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A directory in which the stamping program is started again and again.
#[derive(Debug)]
pub(crate) struct BareSpawn {
    program: PathBuf,
    dir: PathBuf,
}

impl BareSpawn {
    pub(crate) fn new(program: PathBuf, dir: PathBuf) -> Result<Self, BenchError> {
        std::fs::create_dir_all(&dir).map_err(BenchError::io(&dir))?;
        Ok(Self { program, dir })
    }

    /// Time from the call of spawn to the program's own first instruction.
    pub(crate) fn once(&self) -> Result<Duration, BenchError> {
        let mut command = quiet(&self.program);
        command.current_dir(&self.dir);
        let before = now_ns();
        let ended = command.spawn().and_then(|mut child| child.wait());
        ended.map_err(|source| BenchError::Start { program: self.program.clone(), source })?;
        let after = read_stamp(&self.dir)?;
        Ok(between(before, after))
    }
}

/// Programs started and ended per second, one after another.
pub(crate) fn starts_per_second(program: &Path, during: Duration) -> Result<f64, BenchError> {
    let started = Instant::now();
    let mut count = 0.0;
    while started.elapsed() < during {
        let ended = quiet(program).spawn().and_then(|mut child| child.wait());
        ended.map_err(|source| BenchError::Start { program: program.to_owned(), source })?;
        count += 1.0;
    }
    Ok(count / started.elapsed().as_secs_f64())
}

/// A command with nothing attached, in a process group of its own, as the daemon starts its children.
pub(crate) fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

/// The time that the stamping program noted in `dir`; the note is taken away.
pub(crate) fn read_stamp(dir: &Path) -> Result<i128, BenchError> {
    let path = dir.join("stamp.ns");
    let text = std::fs::read_to_string(&path).map_err(BenchError::io(&path))?;
    std::fs::remove_file(&path).map_err(BenchError::io(&path))?;
    text.trim().parse().map_err(|_| BenchError::Unexpected { what: "no time in the stamp".into(), output: text })
}

/// Time from `before` to `after`, both in nanoseconds of the same clock.
pub(crate) fn between(before: i128, after: i128) -> Duration {
    Duration::from_nanos(u64::try_from(after - before).unwrap_or(0))
}
