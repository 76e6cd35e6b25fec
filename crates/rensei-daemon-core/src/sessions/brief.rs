//! What a worker said of its end: in brief where many are remembered, listed and told of, and whole where one is asked for.

use super::{Sessions, record};
use rensei_proto::SessionId;
use rensei_proto::control::SessionView;
use rensei_proto::outcome::{DiffStat, Outcome, SessionResult};

/// Longest text that is remembered, in bytes; of the last lines of output all together.
const MAX_TEXT: usize = 4 * 1024;
/// Longest name, path or id.
const MAX_NAME: usize = 512;
/// Stands for what was left out.
const MARK: &str = "…";

/// What is remembered of an outcome. Cut texts end in a mark, a cut list begins with one.
pub(super) fn brief(mut outcome: Outcome) -> Outcome {
    let result = &mut outcome.result;
    [&mut outcome.summary, &mut outcome.error].into_iter().flatten().for_each(|text| cut(text, MAX_TEXT));
    let optional = [&mut outcome.worktree_path, &mut outcome.failure_mode];
    let traces = [&mut result.branch, &mut result.commit_sha, &mut result.base_sha];
    optional.into_iter().chain(traces).flatten().for_each(|name| cut(name, MAX_NAME));
    cut(&mut outcome.provider_name, MAX_NAME);
    if let Some(diff) = &mut result.diff {
        diff.files.truncate(DiffStat::MAX_FILES);
        diff.files.iter_mut().for_each(|file| cut(&mut file.path, MAX_NAME));
    }
    cut_lines(&mut result.output_tail);
    outcome
}

fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - MARK.len()));
        text.push_str(MARK);
    }
}

/// Keeps the last ones.
fn cut_lines(lines: &mut Vec<String>) {
    let mut room = MAX_TEXT;
    let mut fits = |line: &String| {
        let left = room.checked_sub(line.len());
        room = left.unwrap_or_default();
        left.is_some()
    };
    lines.iter_mut().for_each(|line| cut(line, SessionResult::TAIL_LINE_BYTES));
    let kept = lines.iter().rev().take(SessionResult::TAIL_LINES).take_while(|line| fits(line)).count();
    let surplus = lines.len() - kept;
    if surplus > 0 {
        lines.splice(..surplus, [MARK.to_owned()]);
    }
    lines.shrink_to_fit();
}

impl Sessions {
    /// A session with everything that its worker said of its end, as far as that is still in its file.
    pub(crate) fn record(&self, id: &SessionId) -> Option<SessionView> {
        let mut view = self.view(id)?;
        if let Some(known) = &mut view.outcome
            && let Some(left) = record::read_outcome(&self.directory(id), id)
            && brief(left.clone()) == *known
        {
            *known = left;
        }
        Some(view)
    }
}
