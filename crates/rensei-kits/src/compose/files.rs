//! Texts and scripts that kits bring as files.

use super::{Composition, Purpose, Skill, Text};
use crate::digest::sha256_hex;
use crate::kit::Kit;
use crate::names::is_relative;
use rensei_process::open_child_file;
use std::io::Read;
use std::path::PathBuf;

/// Largest file that a kit brings.
pub(crate) const MAX_FILE: u64 = 1 << 20;

/// Adds fragments and skills of a kit. What cannot be read is a warning: it must not cost the session the rest.
pub(super) fn add_texts(composed: &mut Composition, kit: &Kit, root: &str, purpose: Purpose<'_>) {
    let id = kit.id().to_string();
    for fragment in &kit.manifest.provide.prompt_fragments {
        let wanted = fragment.when.is_empty() || fragment.when.iter().any(|work| work == purpose.work_type);
        if !wanted && !purpose.work_type.is_empty() {
            continue;
        }
        let name = if fragment.partial.is_empty() { &fragment.file } else { &fragment.partial };
        match text(kit, &fragment.file, &fragment.text, purpose) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => composed.prompt.push(Text {
                root: root.to_owned(),
                name: name.clone(),
                text: text.trim().to_owned(),
                kit: id.clone(),
            }),
            Err(problem) => composed.warnings.push(format!("prompt fragment `{name}` of {id}: {problem}")),
        }
    }
    for skill in &kit.manifest.provide.skills {
        let name = if skill.id.is_empty() { &skill.file } else { &skill.id };
        // A skill is about the tool, not about a directory: one text is enough however many roots there are.
        if composed.skills.iter().any(|other| other.id == *name) {
            continue;
        }
        match text(kit, &skill.file, "", purpose) {
            Ok(text) => {
                let (front, body) = front_matter(&text);
                composed.disallowed_shell.extend(disallowed(front));
                composed.skills.push(Skill { id: name.clone(), text: body.trim().to_owned(), kit: id.clone() });
            }
            Err(problem) => composed.warnings.push(format!("skill `{name}` of {id}: {problem}")),
        }
    }
}

fn text(kit: &Kit, file: &str, inline: &str, purpose: Purpose<'_>) -> Result<String, String> {
    if file.is_empty() {
        return if inline.is_empty() { Err("names no file".to_owned()) } else { Ok(inline.to_owned()) };
    }
    let (_, bytes) = read(kit, file, purpose)?;
    String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8 text"))
}

/// The script that a hook names, if it names one and does not hold a command itself.
pub(super) fn script(kit: &Kit, run: &str, purpose: Purpose<'_>) -> Result<Option<PathBuf>, String> {
    let Some(path) = crate::manifest::hook_script(run) else { return Ok(None) };
    let (path, _) = read(kit, &path, purpose).map_err(|problem| format!("hook {run} of {}: {problem}", kit.id()))?;
    Ok(Some(path))
}

/// A file of the kit that is what its manifest says.
fn read(kit: &Kit, file: &str, purpose: Purpose<'_>) -> Result<(PathBuf, Vec<u8>), String> {
    if !is_relative(file) {
        return Err(format!("{file} is not below the kit"));
    }
    let expected = kit.manifest.files.get(file);
    if expected.is_none() && !purpose.unsigned_files {
        return Err(format!("{file} has no digest in [files], which the trust mode asks for"));
    }
    let found = kit.file_roots().into_iter().map(|root| root.join(file)).find(|path| path.symlink_metadata().is_ok());
    let path = found.ok_or_else(|| format!("{file} is not installed"))?;
    let mut bytes = Vec::new();
    let opened = open_child_file(&path).and_then(|opened| opened.take(MAX_FILE + 1).read_to_end(&mut bytes));
    opened.map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{file} is larger than {} KiB", MAX_FILE / 1024));
    }
    if expected.is_some_and(|digest| !digest.eq_ignore_ascii_case(&sha256_hex(&bytes))) {
        return Err(format!("{file} is not the file that [files] describes"));
    }
    Ok((path, bytes))
}

/// Splits `---` front matter from the text.
fn front_matter(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches('\u{feff}');
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return ("", text) };
    let end = rest.match_indices("---").find(|(at, _)| *at == 0 || rest.as_bytes()[at - 1] == b'\n');
    end.map_or(("", text), |(at, mark)| (&rest[..at], &rest[at + mark.len()..]))
}

/// `tools.disallow[].shell` of front matter. It can only take away, so lines that are not understood do no harm.
fn disallowed(front: &str) -> Vec<String> {
    let lines = front.lines().skip_while(|line| !line.trim_start().starts_with("disallow:"));
    let entries = lines.skip(1).take_while(|line| line.trim_start().starts_with('-') || line.starts_with("    "));
    let values = entries.filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("shell:"));
    values.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_is_split_off_and_narrows() {
        let text = "---\nname: go\ntools:\n  disallow:\n    - shell: \"rm *\"\n    - shell: sudo *\n  other: 1\n---\n\n# Body\n---\nrest\n";
        let (front, body) = front_matter(text);
        assert_eq!(disallowed(front), ["rm *", "sudo *"]);
        assert_eq!(body.trim(), "# Body\n---\nrest");
        assert_eq!(front_matter("no front"), ("", "no front"));
        assert_eq!(front_matter("---\nnever ends"), ("", "---\nnever ends"));
        assert!(disallowed("").is_empty());
    }
}
