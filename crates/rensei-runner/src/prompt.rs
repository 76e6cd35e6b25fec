//! What the agent is told and what its commit is called.

use crate::text;
use rensei_proto::SessionDetail;

/// Longest commit subject in bytes.
const MAX_SUBJECT: usize = 200;
/// Longest note on a workarea in bytes.
const MAX_NOTE: usize = 2000;

/// The agent's prompt: the stage's, else the prompt context, else title and body. May be empty.
pub(crate) fn prompt(detail: &SessionDetail) -> String {
    let candidates = [&detail.stage_prompt, &detail.prompt_context];
    if let Some(text) = candidates.into_iter().find(|text| !text.trim().is_empty()) {
        return text.clone();
    }
    let parts = [detail.title.trim(), detail.body.trim()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The prompt with what the agent should know of its workarea.
pub(crate) fn with_notes(prompt: String, notes: &[String]) -> String {
    if notes.is_empty() {
        return prompt;
    }
    let lines: Vec<String> = notes.iter().map(|note| format!("- {}", text::one_line(note, MAX_NOTE))).collect();
    let section = format!("# Notes on this workarea\n\n{}", lines.join("\n"));
    if prompt.trim().is_empty() { section } else { format!("{}\n\n{section}", prompt.trim_end()) }
}

/// Subject of the commit that collects what the agent left.
pub(crate) fn commit_subject(detail: &SessionDetail) -> String {
    let identifier = text::one_line(&detail.issue_identifier, MAX_SUBJECT);
    let title = text::one_line(&detail.title, MAX_SUBJECT);
    let mut subject = match (identifier.is_empty(), title.is_empty()) {
        (true, true) => format!("agent session {}", detail.session_id),
        (false, true) => identifier,
        (false, false) if !title.starts_with(&identifier) => format!("{identifier}: {title}"),
        (_, false) => title,
    };
    text::cut(&mut subject, MAX_SUBJECT);
    subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::SessionId;

    fn detail(fill: impl FnOnce(&mut SessionDetail)) -> SessionDetail {
        let mut detail = SessionDetail::new(SessionId::parse("s1").unwrap());
        fill(&mut detail);
        detail
    }

    #[test]
    fn first_prompt_that_says_something_wins() {
        let all = detail(|d| {
            (d.stage_prompt, d.prompt_context, d.title) = ("stage".into(), "context".into(), "title".into());
        });
        assert_eq!(prompt(&all), "stage");
        let context = detail(|d| (d.stage_prompt, d.prompt_context) = ("  ".into(), "context\n".into()));
        assert_eq!(prompt(&context), "context\n");
        assert_eq!(prompt(&detail(|d| (d.title, d.body) = ("T".into(), "B".into()))), "T\n\nB");
        assert_eq!(prompt(&detail(|_| {})), "");
    }

    #[test]
    fn notes_on_the_workarea_follow_the_task() {
        let notes = ["`lib` is empty: run\nthis".to_owned(), "second".to_owned()];
        assert_eq!(with_notes("Do it\n".into(), &[]), "Do it\n");
        let section = "# Notes on this workarea\n\n- `lib` is empty: run this\n- second";
        assert_eq!(with_notes("Do it\n".into(), &notes), format!("Do it\n\n{section}"));
        assert_eq!(with_notes(" ".into(), &notes), section);
    }

    #[test]
    fn subject_names_the_issue_once() {
        let subject = |identifier: &str, title: &str| {
            commit_subject(&detail(|d| (d.issue_identifier, d.title) = (identifier.into(), title.into())))
        };
        assert_eq!(subject("", ""), "agent session s1");
        assert_eq!(subject("ENG-1", ""), "ENG-1");
        assert_eq!(subject("", "Fix\nit"), "Fix it");
        assert_eq!(subject("ENG-1", "Fix it"), "ENG-1: Fix it");
        assert_eq!(subject("ENG-1", "ENG-1 Fix it"), "ENG-1 Fix it");
        assert!(subject("", &"x".repeat(5000)).len() <= MAX_SUBJECT);
    }
}
