//! What comes in is checked, and cut to size.

use super::error::ApiError;
use crate::init::check_repository;
use crate::storage::{ITEM_OVERHEAD, MAX_CLAIM_BYTES};
use rensei_proto::operator::CreateSession;
use rensei_proto::outcome::{DiffStat, SessionResult};
use rensei_proto::platform::{Activity, PollItem};
use serde_json::Value;

/// Largest prompt in bytes.
const MAX_PROMPT: usize = 1024 * 1024;
/// Largest text of an activity in bytes.
const MAX_CONTENT: usize = 64 * 1024;
/// Most environment variables, and their total size in bytes.
const MAX_ENV: (usize, usize) = (256, 256 * 1024);
/// Priorities that a session may have.
const PRIORITIES: std::ops::RangeInclusive<i64> = 1..=5;

fn bad(message: String) -> ApiError {
    ApiError::BadRequest(message)
}

/// Checks everything that does not depend on the project.
pub(super) fn check_session(request: &CreateSession) -> Result<(), ApiError> {
    if let Some(priority) = request.priority
        && !PRIORITIES.contains(&priority)
    {
        return Err(bad(format!("priority must be between 1 (most urgent) and 5, not {priority}")));
    }
    if request.max_duration_seconds == Some(0) {
        return Err(bad("maxDurationSeconds must be greater than 0".to_owned()));
    }
    if let Some(repository) = &request.repository {
        check_repository(repository).map_err(|reason| bad(format!("repository: {reason}")))?;
    }
    if request.prompt.as_ref().is_some_and(|prompt| prompt.len() > MAX_PROMPT) {
        return Err(bad(format!("prompt must be at most {MAX_PROMPT} bytes")));
    }
    check_text("title", request.title.as_deref(), 1_024)?;
    check_text("workType", request.work_type.as_deref(), 64)?;
    check_revision("ref", request.r#ref.as_deref())?;
    check_revision("branch", request.branch.as_deref())?;
    check_env(request)
}

/// Checks that the item fits into the answer to a poll, which clients read up to a bound.
pub(super) fn check_size(item: &PollItem) -> Result<(), ApiError> {
    let size = serde_json::to_vec(item).map_err(|_| ApiError::Internal("a work item cannot be written"))?.len();
    if i64::try_from(size).is_ok_and(|size| size + ITEM_OVERHEAD <= MAX_CLAIM_BYTES) {
        Ok(())
    } else {
        Err(bad(format!("the session takes {size} bytes as JSON, and must take less than 2 MiB")))
    }
}

fn check_text(field: &str, text: Option<&str>, most: usize) -> Result<(), ApiError> {
    match text {
        Some(text) if text.len() > most || text.chars().any(char::is_control) => {
            Err(bad(format!("{field} must be one line of at most {most} bytes")))
        }
        _ => Ok(()),
    }
}

/// What git would take for an option, or not at all as a name, is refused here; the rest is git's to judge.
fn check_revision(field: &str, name: Option<&str>) -> Result<(), ApiError> {
    let odd = |name: &str| {
        name.len() > 255
            || name.starts_with('-')
            || name.chars().any(|c| c.is_control() || c.is_whitespace())
            || name.contains("..")
    };
    match name {
        Some(name) if odd(name) => Err(bad(format!("{field} `{}` is not a valid git name", name.escape_debug()))),
        _ => Ok(()),
    }
}

fn check_env(request: &CreateSession) -> Result<(), ApiError> {
    let (most, size) = MAX_ENV;
    let total: usize = request.env.iter().map(|(key, value)| key.len() + value.len()).sum();
    if request.env.len() > most || total > size {
        return Err(bad(format!("env must have at most {most} variables and {size} bytes")));
    }
    for (key, value) in &request.env {
        let mut bytes = key.bytes();
        let well_formed = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !well_formed {
            let shown = key.escape_debug();
            return Err(bad(format!("env: `{shown}` is not a variable name: use letters, digits and _")));
        }
        if value.contains('\0') {
            return Err(bad(format!("env: the value of {key} has a NUL character")));
        }
    }
    Ok(())
}

/// `text`, cut at a character to at most `most` bytes.
pub(super) fn bounded_text(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// The activity with every part cut to size.
pub(super) fn bounded_activity(activity: Activity) -> Activity {
    let short = |text: Option<String>| text.map(|text| bounded_text(text, 512));
    let input = activity.tool_input.map(|input| {
        let text = input.to_string();
        if text.len() > MAX_CONTENT { Value::String(bounded_text(text, MAX_CONTENT)) } else { input }
    });
    Activity {
        r#type: activity.r#type,
        content: bounded_text(activity.content, MAX_CONTENT),
        tool_input: input,
        tool_output: activity.tool_output.map(|output| bounded_text(output, MAX_CONTENT)),
        tool_name: short(activity.tool_name),
        tool_category: short(activity.tool_category),
        tool_use_id: short(activity.tool_use_id),
        provider_name: short(activity.provider_name),
        timestamp: short(activity.timestamp),
        is_error: activity.is_error,
        duration_ms: activity.duration_ms,
    }
}

/// The result with every part cut to size.
pub(super) fn bounded_result(result: SessionResult) -> SessionResult {
    let name = |text: Option<String>| text.map(|text| bounded_text(text, 512));
    let mut tail = result.output_tail;
    tail.drain(..tail.len().saturating_sub(SessionResult::TAIL_LINES));
    let lines = tail.into_iter().map(|line| bounded_text(line, SessionResult::TAIL_LINE_BYTES));
    SessionResult {
        branch: name(result.branch),
        commit_sha: name(result.commit_sha),
        base_sha: name(result.base_sha),
        output_tail: lines.collect(),
        diff: result.diff.map(bounded_diff),
        ..result
    }
}

fn bounded_diff(mut diff: DiffStat) -> DiffStat {
    diff.files.truncate(DiffStat::MAX_FILES);
    for file in &mut diff.files {
        file.path = bounded_text(std::mem::take(&mut file.path), 4_096);
    }
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), String> {
        check_session(&serde_json::from_str(json).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn refusals_name_the_field() {
        assert_eq!(check(r#"{"priority":5,"maxDurationSeconds":1,"env":{"A_1":"x"},"ref":"release/1.0"}"#), Ok(()));
        for (json, field) in [
            (r#"{"priority":0}"#, "priority"),
            (r#"{"priority":6}"#, "priority"),
            (r#"{"maxDurationSeconds":0}"#, "maxDurationSeconds"),
            (r#"{"repository":""}"#, "repository"),
            (r#"{"repository":"--upload-pack=x"}"#, "repository"),
            (r#"{"ref":"--all"}"#, "ref"),
            (r#"{"branch":"a b"}"#, "branch"),
            (r#"{"branch":"a..b"}"#, "branch"),
            (r#"{"title":"a\nb"}"#, "title"),
            (r#"{"env":{"1A":"x"}}"#, "env"),
            (r#"{"env":{"A=B":"x"}}"#, "env"),
            (r#"{"env":{"":"x"}}"#, "env"),
            (r#"{"env":{"A":"\u0000"}}"#, "env"),
        ] {
            assert!(check(json).unwrap_err().starts_with(field), "{json}: {:?}", check(json));
        }
        let long = CreateSession { prompt: Some("x".repeat(MAX_PROMPT + 1)), ..CreateSession::default() };
        assert!(check_session(&long).is_err());
    }

    #[test]
    fn foreign_text_is_cut_at_characters() {
        assert_eq!(bounded_text("aä".to_owned(), 2), "a");
        let activity = Activity {
            content: "ä".repeat(MAX_CONTENT),
            tool_input: Some(Value::String("x".repeat(MAX_CONTENT))),
            ..Activity::default()
        };
        let activity = bounded_activity(activity);
        assert_eq!(activity.content.len(), MAX_CONTENT);
        assert_eq!(activity.tool_input.unwrap().as_str().unwrap().len(), MAX_CONTENT);
        let lines = (0..30).map(|n| n.to_string() + &"y".repeat(2_000)).collect();
        let result = bounded_result(SessionResult { output_tail: lines, ..SessionResult::default() });
        assert_eq!(result.output_tail.len(), SessionResult::TAIL_LINES);
        assert!(result.output_tail[0].starts_with("10") && result.output_tail[0].len() == 1_000);
    }
}
