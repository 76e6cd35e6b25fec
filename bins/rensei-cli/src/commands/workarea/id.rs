//! Ids of workareas as they are shown and typed.

use crate::commands::host::client::HostClient;
use crate::error::CommandResult;
use crate::output::text;
use rensei_proto::control::WorkareaList;

/// Ids that are longer than this are shortened in tables.
const MAX: usize = 24;
const HEAD: usize = 10;
const TAIL: usize = 8;

/// An id as tables show it: the first ten characters, `..`, and the last eight.
pub(super) fn shown(id: &str) -> String {
    let id = text::clean(id);
    let length = id.chars().count();
    if length <= MAX {
        return id.into_owned();
    }
    let (head, tail): (String, String) = (id.chars().take(HEAD).collect(), id.chars().skip(length - TAIL).collect());
    format!("{head}..{tail}")
}

/// The id that was meant: what a table shows may be typed.
pub(super) async fn resolve(host: &HostClient, typed: &str) -> CommandResult<String> {
    if typed.chars().count() != HEAD + 2 + TAIL || !typed.contains("..") {
        return Ok(typed.to_owned());
    }
    let list = host.ask(async |api| api.workareas().await).await?;
    Ok(meant(&list, typed).unwrap_or(typed).to_owned())
}

/// The one id that is called so in full, or is the only one that is shown so.
fn meant<'a>(list: &'a WorkareaList, typed: &str) -> Option<&'a str> {
    let ids = || list.active.iter().chain(&list.archived).map(|row| row.id.as_str());
    let mut alike = ids().filter(|id| shown(id) == typed);
    match (ids().any(|id| id == typed), alike.next(), alike.next()) {
        (false, Some(id), None) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::control::WorkareaSummary;

    #[test]
    fn what_a_table_shows_can_be_typed() {
        let row = |id: &str| WorkareaSummary { id: id.to_owned(), ..WorkareaSummary::default() };
        let (one, two) = ("0123456789-one-20260102T030405Z", "9876543210-two-20260102T030405Z");
        assert_eq!((shown(one).as_str(), shown("short").as_str()), ("0123456789..T030405Z", "short"));
        let list = WorkareaList { archived: vec![row(one), row(two)], ..WorkareaList::default() };
        assert_eq!(meant(&list, "0123456789..T030405Z"), Some(one));
        assert_eq!(meant(&list, "0123456789..T030406Z"), None);
        let twins = WorkareaList { active: vec![row("0123456789-two-20260102T030405Z")], ..list };
        assert_eq!(meant(&twins, "0123456789..T030405Z"), None);
    }
}
