//! Following a session on a control plane.

use super::target::Platform;
use crate::error::CommandResult;
use crate::output::text;
use rensei_platform_client::ClientError;
use rensei_proto::operator::{ActivityPage, RecordedActivity, Session};
use std::time::Duration;
use tokio::time::Instant;

/// How long one request is held.
const WAIT: Duration = Duration::from_secs(25);
/// How long a control plane may be away before following gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between tries while it is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Hands each activity after `cursor` to `show` until the session has ended; the answer is the ended session.
pub(super) async fn to_the_end(
    platform: &Platform,
    id: &str,
    mut cursor: i64,
    mut show: impl FnMut(&RecordedActivity) -> CommandResult,
) -> CommandResult<Session> {
    loop {
        let page = patiently(platform, || platform.client.activities(id, cursor, Some(WAIT))).await?;
        page.activities.iter().try_for_each(&mut show)?;
        if is_last(&page) {
            return patiently(platform, || platform.client.session(id)).await;
        }
        cursor = page.cursor;
    }
}

/// What is there now: every activity, oldest first. The answer is the cursor behind them.
pub(super) async fn so_far(
    platform: &Platform,
    id: &str,
    mut show: impl FnMut(&RecordedActivity) -> CommandResult,
) -> CommandResult<i64> {
    let mut cursor = 0;
    loop {
        let page = platform.client.activities(id, cursor, None).await.map_err(|error| platform.error(error))?;
        if page.activities.is_empty() {
            return Ok(cursor);
        }
        page.activities.iter().try_for_each(&mut show)?;
        cursor = page.cursor;
    }
}

/// Nothing more comes after an empty page of an ended session.
fn is_last(page: &ActivityPage) -> bool {
    page.activities.is_empty() && page.session_status.is_terminal()
}

/// Repeats a reading call while the control plane is away, for a while.
async fn patiently<T, F>(platform: &Platform, mut call: impl FnMut() -> F) -> CommandResult<T>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tokio::time::sleep(error.retry_after().unwrap_or(PAUSE).min(PATIENCE)).await;
            }
            Err(error) => return Err(platform.error(error)),
        }
    }
}

/// An activity as lines for people.
pub(in crate::commands) fn lines(activity: &RecordedActivity) -> impl Iterator<Item = String> {
    let activity = &activity.activity;
    let label = match (activity.r#type.as_str(), activity.tool_name.as_deref()) {
        // A worker's own steps say themselves what they are: `commit` has `committed …`.
        ("action", Some(tool)) if !activity.content.starts_with(tool) => format!("{}: ", text::clean(tool)),
        ("error", _) => "error: ".to_owned(),
        _ => String::new(),
    };
    let output = activity.tool_output.as_deref().unwrap_or_default();
    let contents = text::clean_lines(&activity.content).map(move |line| format!("{label}{line}"));
    contents.chain(text::clean_lines(output).map(|line| format!("  {line}")))
}
