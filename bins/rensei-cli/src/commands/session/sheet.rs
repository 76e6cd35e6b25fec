//! One session on one page.

use crate::output::rows::Rows;
use crate::output::time::{absolute, between, parse_ms, span};
use crate::output::{Output, Tone, text};
use rensei_process::End;
use rensei_proto::SessionStatus;
use rensei_proto::control::{SessionState, SessionView};
use rensei_proto::operator::Session;
use rensei_proto::outcome::{DiffStat, SessionResult};

/// Most files that are named.
const MAX_FILES: usize = 10;

/// A session as its control plane knows it.
pub(super) fn of_platform(output: &Output, session: &Session) -> Rows {
    let mut rows = Rows::new();
    rows.add("Session", text::clean(&session.session_id));
    rows.add("Status", output.paint(status_tone(session.status), status_text(session)));
    rows.add_some("Waiting", waiting(session));
    rows.add("Project", text::clean(&session.project));
    rows.add_some("Title", Some(text::clean(&session.title)));
    rows.add("Repository", from(&session.repository, &session.r#ref));
    rows.add_some("Runtime", Some(text::clean(&session.provider)));
    rows.add_some("Host", session.hostname.as_deref().or(session.worker_id.as_deref()).map(text::clean));
    if let Some(result) = &session.result {
        add_result(&mut rows, result);
    }
    rows.add_some("Summary", session.summary.as_deref().map(text::clean));
    add_error(&mut rows, output, session.error.as_deref());
    add_tail(&mut rows, session.result.as_ref());
    add_timeline(&mut rows, &platform_timeline(session));
    rows
}

/// What a session left behind, and why not more.
pub(in crate::commands) fn of_result(output: &Output, session: &Session) -> Rows {
    let mut rows = Rows::new();
    rows.add("Session", text::clean(&session.session_id));
    rows.add("Status", output.paint(status_tone(session.status), session.status));
    if let Some(result) = &session.result {
        add_result(&mut rows, result);
    }
    add_error(&mut rows, output, session.error.as_deref());
    rows
}

/// A session as its host knows it, with or without the end of its output.
pub(super) fn of_host(output: &Output, view: &SessionView, with_tail: bool) -> Rows {
    let mut rows = Rows::new();
    let (outcome, ended) = (view.outcome.as_ref(), view.state.is_ended());
    rows.add("Session", &view.session_id);
    rows.add("Status", output.paint(state_tone(view.state), view.state));
    rows.add_some("Project", Some(text::clean(&view.project_id)));
    rows.add_some("Title", Some(text::clean(&view.title)));
    rows.add("Repository", from(&view.repository, &view.r#ref));
    rows.add_some("PID", (!ended && view.pid > 0).then_some(view.pid));
    let unheard = SessionResult { exit_code: view.exit_code, signal: view.signal, ..SessionResult::default() };
    if ended {
        add_result(&mut rows, outcome.map_or(&unheard, |outcome| &outcome.result));
    }
    rows.add_some("Summary", outcome.and_then(|outcome| outcome.summary.as_deref()).map(text::clean));
    rows.add_some("Reason", view.reason.as_deref().map(text::clean));
    for note in &view.notes {
        rows.add("Note", text::clean(note));
    }
    add_error(&mut rows, output, outcome.and_then(|outcome| outcome.error.as_deref()));
    add_tail(&mut rows, outcome.map(|outcome| &outcome.result).filter(|_| with_tail));
    add_timeline(&mut rows, &host_timeline(view));
    rows
}

fn status_text(session: &Session) -> String {
    match session.stop_requested && !session.status.is_terminal() {
        true => format!("{} (stop requested)", session.status),
        false => session.status.to_string(),
    }
}

fn waiting(session: &Session) -> Option<String> {
    let reason = session.pending_reason.as_deref().filter(|_| session.status == SessionStatus::Pending)?;
    let word = text::clean(reason).replace('_', " ");
    let detail = session.pending_detail.as_deref().map(text::clean).filter(|detail| !detail.is_empty());
    Some(detail.map_or_else(|| word.clone(), |detail| format!("{word}: {detail}")))
}

fn from(repository: &str, r#ref: &str) -> String {
    let repository = text::place(repository);
    if r#ref.is_empty() { repository.into_owned() } else { format!("{repository} at {}", text::clean(r#ref)) }
}

fn add_result(rows: &mut Rows, result: &SessionResult) {
    let pushed = if result.pushed { "pushed" } else { "not pushed" };
    rows.add_some("Branch", result.branch.as_deref().map(|branch| format!("{} ({pushed})", text::clean(branch))));
    rows.add_some("Commit", result.commit_sha.as_deref().map(text::clean));
    if let Some(diff) = &result.diff {
        rows.add("Changes", diff_line(diff));
        diff_files(diff).into_iter().for_each(|line| {
            rows.more(line);
        });
    }
    rows.add_some("Agent", agent_end(result));
}

/// `2 files changed, +3 -1`.
pub(crate) fn diff_line(diff: &DiffStat) -> String {
    format!("{} changed, +{} -{}", text::count(diff.files_changed, "file"), diff.insertions, diff.deletions)
}

/// The files of a change, one per line.
fn diff_files(diff: &DiffStat) -> Vec<String> {
    let shown = diff.files.iter().take(MAX_FILES);
    let mut lines: Vec<_> =
        shown.map(|f| format!("{}  +{} -{}", text::clean(&f.path), f.insertions, f.deletions)).collect();
    let hidden = diff.files_changed.saturating_sub(lines.len());
    if hidden > 0 && !lines.is_empty() {
        lines.push(format!("and {hidden} more"));
    }
    lines
}

/// `exit code 1`, `signal 9 (KILL)`.
pub(crate) fn agent_end(result: &SessionResult) -> Option<String> {
    let end = result.signal.map(End::Signaled).or(result.exit_code.map(End::Exited))?;
    Some(end.to_string())
}

fn add_error(rows: &mut Rows, output: &Output, error: Option<&str>) {
    let Some(error) = error else { return };
    let mut lines = text::clean_lines(error);
    rows.add_some("Error", lines.next().map(|line| output.paint(Tone::Bad, line)));
    lines.for_each(|line| {
        rows.more(line);
    });
}

fn add_tail(rows: &mut Rows, result: Option<&SessionResult>) {
    let mut lines = result.into_iter().flat_map(|result| &result.output_tail).map(|line| text::clean(line));
    rows.add_some("Output", lines.next());
    lines.for_each(|line| {
        rows.more(line);
    });
}

/// A named moment, in Unix milliseconds.
type Moment = (&'static str, i64);

fn platform_timeline(session: &Session) -> Vec<Moment> {
    let moments = [
        ("queued", Some(session.created_at)),
        ("claimed", session.claimed_at),
        ("started", session.started_at),
        ("ended", session.ended_at),
    ];
    moments.into_iter().filter_map(|(name, at)| at.map(|at| (name, at))).collect()
}

fn host_timeline(view: &SessionView) -> Vec<Moment> {
    let outcome = view.outcome.as_ref();
    let moments = [
        ("accepted", parse_ms(&view.accepted_at)),
        ("started", outcome.map(|outcome| outcome.started_at)),
        ("ended", view.ended_at.as_deref().and_then(parse_ms)),
    ];
    moments.into_iter().filter_map(|(name, at)| at.map(|at| (name, at))).collect()
}

/// Each moment with the time since the one before.
fn add_timeline(rows: &mut Rows, moments: &[Moment]) {
    let before = std::iter::once(None).chain(moments.iter().map(|(_, at)| Some(*at)));
    for (n, ((name, at), before)) in moments.iter().zip(before).enumerate() {
        let since = before.map_or_else(String::new, |before| format!("  after {}", span(between(before, *at))));
        let line = format!("{name:<8} {}{since}", absolute(*at));
        if n == 0 {
            rows.add("Timeline", line)
        } else {
            rows.more(line)
        };
    }
}

/// Colour of a status.
pub(crate) const fn status_tone(status: SessionStatus) -> Tone {
    match status {
        SessionStatus::Pending => Tone::Faint,
        SessionStatus::Claimed | SessionStatus::Running | SessionStatus::Finalizing => Tone::Busy,
        SessionStatus::Completed => Tone::Good,
        SessionStatus::Failed => Tone::Bad,
        SessionStatus::Stopped => Tone::Notice,
    }
}

/// Colour of a state.
pub(in crate::commands) const fn state_tone(state: SessionState) -> Tone {
    match state {
        SessionState::Starting | SessionState::Running => Tone::Busy,
        SessionState::Completed => Tone::Good,
        SessionState::Failed => Tone::Bad,
        SessionState::Terminated => Tone::Notice,
    }
}
