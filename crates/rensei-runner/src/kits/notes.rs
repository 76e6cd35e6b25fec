//! What kits say to an agent, as one text.

use rensei_kits::{Composition, shown_root};
use std::fmt::Write as _;

/// The notes; empty when there is nothing to say.
pub(super) fn notes(composed: &Composition) -> String {
    let mut out = String::new();
    for kit in &composed.kits {
        let commands = composed.commands.iter().filter(|command| command.kit == kit.id && command.root == kit.root);
        let lines: Vec<String> = commands.map(|command| format!("- {}: `{}`", command.name, command.run)).collect();
        let texts: Vec<&str> = composed
            .prompt
            .iter()
            .filter(|text| text.kit == kit.id && text.root == kit.root)
            .map(|text| text.text.as_str())
            .collect();
        if lines.is_empty() && texts.is_empty() {
            continue;
        }
        section(&mut out, &format!("In `{}` ({})", shown_root(&kit.root), kit.id));
        for part in [lines.join("\n"), texts.join("\n\n")].iter().filter(|part| !part.is_empty()) {
            push(&mut out, part);
        }
    }
    for skill in &composed.skills {
        section(&mut out, &format!("Skill {} ({})", skill.id, skill.kit));
        push(&mut out, &skill.text);
    }
    let rules = [("Allowed", &composed.allowed_shell), ("Not allowed", &composed.disallowed_shell)];
    let rules = rules.iter().filter(|(_, patterns)| !patterns.is_empty());
    let rules: Vec<String> = rules.map(|(word, patterns)| format!("- {word}: {}", quoted(patterns))).collect();
    if !rules.is_empty() {
        section(&mut out, "Shell commands");
        push(&mut out, &rules.join("\n"));
    }
    if out.is_empty() { out } else { format!("# Notes on this repository\n\n{}", out.trim_end()) }
}

fn quoted(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

fn section(out: &mut String, title: &str) {
    // Writing to a string cannot fail.
    let _written = write!(out, "## {title}\n\n");
}

fn push(out: &mut String, text: &str) {
    out.push_str(text.trim());
    out.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_kits::{Applied, Command, Skill, Text};

    #[test]
    fn one_section_per_kit_and_place() {
        assert_eq!(notes(&Composition::default()), "");
        let (root, kit) = ("web".to_owned(), "node".to_owned());
        let composed = Composition {
            kits: vec![Applied {
                id: kit.clone(),
                version: String::new(),
                root: root.clone(),
                confidence: 60,
                reasons: vec![],
            }],
            commands: vec![Command {
                root: root.clone(),
                name: "test".into(),
                run: "npm test".into(),
                kit: kit.clone(),
            }],
            prompt: vec![Text { root, name: "n".into(), text: "Be brief.".into(), kit: kit.clone() }],
            skills: vec![Skill { id: "s".into(), text: "How to.".into(), kit }],
            allowed_shell: vec!["npm *".into()],
            ..Composition::default()
        };
        assert_eq!(
            notes(&composed),
            "# Notes on this repository\n\n## In `web` (node)\n\n- test: `npm test`\n\nBe brief.\n\n## Skill s (node)\n\nHow to.\n\n\
             ## Shell commands\n\n- Allowed: `npm *`"
        );
    }
}
