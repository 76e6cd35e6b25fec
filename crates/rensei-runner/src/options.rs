//! What a session is started with and what comes back.

use rensei_proto::outcome::Outcome;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the worker of one session needs to know. Everything else comes from the daemon.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// The session, as given; checked before anything is done.
    pub session_id: String,
    /// Base URL of the daemon's control API.
    pub daemon_url: String,
    /// Where `outcome.json` goes. Absent: `RENSEI_SESSION_DIR` of [`RunOptions::env`]; without that, nowhere.
    pub session_dir: Option<PathBuf>,
    /// Environment of the worker. The agent gets it without the credentials of host and control plane.
    pub env: BTreeMap<String, String>,
    /// Gets every byte that the agent writes, as it comes: the worker's own stderr, which a daemon has pointed at the
    /// session's `output.log`. Failures to write are ignored.
    pub raw_output: Option<std::fs::File>,
}

/// End of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The one document for stdout. Absent only when the session id is not one.
    pub outcome: Option<Outcome>,
    /// 0 completed, 1 failed or stopped, 2 not started.
    pub exit_code: u8,
    /// Why it did not complete, for stderr.
    pub error: Option<String>,
}

/// Value of a variable of the worker in either spelling.
pub(crate) fn variable<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let spellings = ["RENSEI_", "DONMAI_"];
    let values = spellings.iter().filter_map(|prefix| env.get(&format!("{prefix}{name}")));
    values.map(|value| value.trim()).find(|value| !value.is_empty())
}
