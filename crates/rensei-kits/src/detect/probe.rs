//! The second step of detection: kits that want a command to have the last word.

use super::{Detection, Match, Rejection, shown_root};
use crate::command::{BoundedCommand, CommandError};
use crate::kit::Kit;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// How long a command of detection may take.
const LIMIT: Duration = Duration::from_secs(10);
/// What it may write.
const MAX_OUTPUT: usize = 64 * 1024;
/// Below this a kit that is asked how sure it is does not apply.
const SURE: f64 = 0.5;

/// How commands of detection are run.
#[derive(Debug)]
pub struct Probing<F> {
    /// Their whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Why a kit may not run anything; `None`: it may.
    pub refusal: F,
}

/// What a command of detection may write, as one JSON object. Without it, its exit code alone counts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Whether the kit applies.
    pub applies: Option<bool>,
    /// How sure that is, from 0 to 1.
    pub confidence: Option<f64>,
    /// Why.
    pub reason: String,
}

impl Detection {
    /// Lets kits that match and have a `detect.exec` run it in their root, one after the other. One that says no, fails or
    /// passes its bounds does not apply. One that may not run it applies by what was found before, which is noted.
    pub async fn probe<F: Fn(&Kit) -> Option<String>>(mut self, probing: &Probing<F>) -> Self {
        for mut found in std::mem::take(&mut self.matches) {
            match self.ask(&mut found, probing).await {
                Ok(()) => self.matches.push(found),
                Err(reason) => self.rejected.push(Rejection { kit: found.kit, reason }),
            }
        }
        self.settle();
        self
    }

    async fn ask<F: Fn(&Kit) -> Option<String>>(&self, found: &mut Match, probing: &Probing<F>) -> Result<(), String> {
        let exec = &found.kit.manifest.detect.exec;
        if exec.trim().is_empty() {
            return Ok(());
        }
        if let Some(refusal) = (probing.refusal)(&found.kit) {
            found.reasons.push(format!("its detect.exec was not run: {refusal}"));
            return Ok(());
        }
        let command = BoundedCommand {
            command: exec.clone(),
            cwd: self.tree.join(&found.root),
            env: probing.env.clone(),
            limit: LIMIT,
            max_output: MAX_OUTPUT,
        };
        let verdict = judge(command.run().await).map_err(|why| format!("its detect.exec {why}"))?;
        if let Some(confidence) = verdict.confidence {
            // Between 0 and 1 by the check in `judge`.
            found.confidence = (confidence * 100.0).round() as u8;
        }
        let said = if verdict.reason.is_empty() { "said yes".to_owned() } else { format!("says: {}", verdict.reason) };
        found.reasons.push(format!("its detect.exec {said} in {}", shown_root(&found.root)));
        Ok(())
    }
}

/// Yes, or why not.
fn judge(ran: Result<crate::command::Ran, CommandError>) -> Result<Verdict, String> {
    let ran = ran.map_err(|error| error.to_string())?;
    if !ran.end.success() {
        return Err(format!("said no ({})", ran.end));
    }
    let mut verdict: Verdict = serde_json::from_slice(&ran.output).unwrap_or_default();
    verdict.reason = verdict.reason.chars().filter(|c| !c.is_control()).take(200).collect();
    verdict.confidence = verdict.confidence.filter(|value| (0.0..=1.0).contains(value));
    if verdict.applies == Some(false) || verdict.confidence.is_some_and(|value| value < SURE) {
        let why = if verdict.reason.is_empty() { String::new() } else { format!(": {}", verdict.reason) };
        return Err(format!("said no{why}"));
    }
    Ok(verdict)
}
