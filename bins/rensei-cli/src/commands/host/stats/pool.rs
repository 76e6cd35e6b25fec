//! The pool of workareas, as `rensei host stats --pool` shows it.

use crate::output::rows::Rows;
use crate::output::table::{Value, table};
use crate::output::{Output, text};
use rensei_proto::control::{PoolMemberStatus, WorkareaPoolMember, WorkareaPoolStats};
use std::collections::BTreeMap;

/// Totals and, when there are members, a line per repository and toolchain.
pub(super) fn section(output: &Output, pool: &WorkareaPoolStats) -> String {
    let mut totals = Rows::new();
    totals.add("Total", pool.total_members).add("Ready", pool.ready_members);
    totals.add("Acquired", pool.acquired_members).add("Warming", pool.warming_members);
    totals.add("Invalid", pool.invalid_members).add("Disk usage", format_args!("{} MB", pool.total_disk_usage_mb));
    let totals = format!("{}\n{totals}", output.heading("Workarea pool:"));
    if pool.members.is_empty() {
        return totals;
    }
    let by_kind = output.heading("By (repo, toolchain):");
    format!("{totals}\n\n{by_kind}\n{}", text::indented(&by_repository(output, &pool.members)))
}

fn by_repository(output: &Output, members: &[WorkareaPoolMember]) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&WorkareaPoolMember>> = BTreeMap::new();
    for member in members {
        groups.entry((&member.repository, &member.toolchain_key)).or_default().push(member);
    }
    let headings = ["REPO", "TOOLCHAIN", "TOTAL", "READY", "ACQUIRED", "WARMING", "INVALID", "DISK MB"];
    let rows = groups.iter().map(|((repository, toolchain), members)| row(repository, toolchain, members));
    table(output, headings, &["INVALID", "WARMING", "TOOLCHAIN", "DISK MB", "ACQUIRED"], rows)
}

fn row(repository: &str, toolchain: &str, members: &[&WorkareaPoolMember]) -> [Value; 8] {
    let count = |status| members.iter().filter(|member| member.status == status).count().to_string().into();
    let disk: u64 = members.iter().map(|member| member.disk_usage_mb).sum();
    [
        text::place(repository).into(),
        if toolchain.is_empty() { "-".into() } else { text::clean(toolchain).into() },
        members.len().to_string().into(),
        count(PoolMemberStatus::Ready),
        count(PoolMemberStatus::Acquired),
        count(PoolMemberStatus::Warming),
        count(PoolMemberStatus::Invalid),
        disk.to_string().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    fn member(repository: &str, toolchain: &str, status: &str) -> WorkareaPoolMember {
        let json = format!(
            r#"{{"id":"m","repository":"{repository}","ref":"main","toolchainKey":"{toolchain}","status":"{status}",
            "cleanStateChecksum":"","createdAt":"t","diskUsageMb":3}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn members_are_counted_by_repository_and_toolchain() {
        let output = Output::new(ColorChoice::Never, &Environment::from([("COLUMNS", "100")]));
        let members = vec![
            member("https://u:p@h/b", "", "ready"),
            member("/a", "node-20", "acquired"),
            member("/a", "node-20", "ready"),
            member("/a", "", "invalid"),
        ];
        let expected = "Workarea pool:\n  Total:      4\n  Ready:      2\n  Acquired:   1\n  Warming:    0\n  Invalid:    1\n  \
            Disk usage: 12 MB\n\nBy (repo, toolchain):\n  \
            REPO             TOOLCHAIN  TOTAL  READY  ACQUIRED  WARMING  INVALID  DISK MB\n  \
            /a               -          1      0      0         0        1        3\n  \
            /a               node-20    2      1      1         0        0        6\n  \
            https://***@h/b  -          1      1      0         0        0        3";
        let shown = section(&output, &WorkareaPoolStats::of(members, "now".into()));
        assert_eq!(shown, expected);
        assert!(section(&output, &WorkareaPoolStats::default()).ends_with("0 MB"));
    }
}
