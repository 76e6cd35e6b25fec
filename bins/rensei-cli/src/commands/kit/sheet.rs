//! A kit in full, as `rensei kit show` prints it.

use super::{badge, status_tone, trust_tone};
use crate::output::rows::Rows;
use crate::output::{Output, text};
use rensei_proto::control::{KitDetail, KitSummary};

/// The sheet: what the kit is, and a section for each thing that its manifest says.
pub(super) fn sheet(output: &Output, kit: &KitDetail) -> String {
    let toolchain: Vec<String> =
        kit.detect_toolchain.iter().map(|(tool, version)| format!("{tool} {version}")).collect();
    let detect = rows(&[
        ("Files", &kit.summary.detect_files.join(", ")),
        ("Exec", &kit.summary.detect_exec),
        ("Toolchain", &toolchain.join(", ")),
        ("OS", &kit.supported_os.join(", ")),
        ("Arch", &kit.supported_arch.join(", ")),
    ]);
    let commands: Vec<(&str, &String)> = kit.commands.iter().map(|(name, command)| (name.as_str(), command)).collect();
    let composition = rows(&[
        ("Order", &kit.order),
        ("Composes with", &kit.composes_with.join(", ")),
        ("Conflicts with", &kit.conflicts_with.join(", ")),
    ]);
    let sections = [
        ("Detect:", detect.to_string()),
        ("Commands:", rows(&commands).to_string()),
        ("Provides:", provides(kit)),
        ("Composition:", composition.to_string()),
    ];
    let mut page = head(output, &kit.summary).to_string();
    for (heading, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
        page.push_str(&format!("\n\n{}\n{body}", output.heading(heading)));
    }
    page
}

fn head(output: &Output, summary: &KitSummary) -> Rows {
    let mut head = Rows::new();
    head.add("ID", text::clean(&summary.id));
    head.add("Name", text::clean(if summary.name.is_empty() { &summary.id } else { &summary.name }));
    head.add_some("Description", Some(text::clean(&summary.description)));
    head.add("Version", text::clean(&summary.version));
    head.add("Scope", text::clean(&summary.scope));
    head.add("Status", output.paint(status_tone(summary.status), summary.status.as_str()));
    head.add("Source", text::clean(&summary.source));
    for (label, value) in [
        ("Author", &summary.author),
        ("AuthorID", &summary.author_id),
        ("License", &summary.license),
        ("Homepage", &summary.homepage),
        ("Repository", &summary.repository),
    ] {
        head.add_some(label, Some(text::clean(value)));
    }
    head.add("Trust", output.paint(trust_tone(summary.trust), badge(summary.trust)));
    head.add_some("Signer", Some(text::clean(&summary.signer_id)));
    head.add_some("SignedAt", Some(text::clean(&summary.signed_at)));
    head.add_some("Manifest", Some(text::clean(&summary.path)));
    for shadowed in &summary.shadows {
        head.add("Not used", text::clean(shadowed));
    }
    head
}

/// What has a value.
fn rows(values: &[(&str, &String)]) -> Rows {
    let mut rows = Rows::new();
    for (label, value) in values {
        rows.add_some(&text::clean(label), Some(text::clean(value)));
    }
    rows
}

/// What a session gets from the kit, one kind per line.
fn provides(kit: &KitDetail) -> String {
    let summary = &kit.summary;
    let kinds: [(bool, &str, &[String]); 8] = [
        (summary.provides_commands, "commands", &[]),
        (summary.provides_prompts, "prompt fragments", &[]),
        (summary.provides_tools, "tool permissions", &[]),
        (summary.provides_mcp_servers, "MCP servers", &kit.mcp_server_names),
        (summary.provides_skills, "skills", &kit.skill_files),
        (summary.provides_agents, "agents", &kit.agent_ids),
        (summary.provides_a2a_skills, "A2A skills", &kit.a2a_skill_ids),
        (summary.provides_extractors, "intelligence extractors", &kit.extractor_names),
    ];
    let lines = kinds.iter().filter(|(is_provided, ..)| *is_provided).map(|(_, kind, names)| match names {
        [] => format!("  {kind}"),
        names => format!("  {kind}: {}", text::clean(&names.join(", "))),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    #[test]
    fn sections_without_anything_are_left_out() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let mut kit = KitDetail {
            summary: KitSummary { id: "a\u{1b}[2J".to_owned(), ..Default::default() },
            ..Default::default()
        };
        let page = sheet(&output, &kit);
        assert!(page.starts_with("  ID:        a") && !page.contains('\u{1b}') && !page.contains("Detect:"), "{page}");
        kit.summary.provides_agents = true;
        kit.agent_ids = vec!["reviewer".to_owned(), "writer".to_owned()];
        kit.order = "foundation".to_owned();
        let page = sheet(&output, &kit);
        assert!(
            page.ends_with("Provides:\n  agents: reviewer, writer\n\nComposition:\n  Order:     foundation"),
            "{page}"
        );
    }
}
