//! The part of Markdown that the checks read: fenced blocks, inline code, links and headings.

/// One document, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Fenced code blocks in order.
    pub(crate) blocks: Vec<Block>,
    /// Inline code outside fences, with line numbers.
    pub(crate) code: Vec<(usize, String)>,
    /// Link targets, with line numbers.
    pub(crate) links: Vec<(usize, String)>,
    /// Headings as anchors.
    pub(crate) anchors: Vec<String>,
    /// Lines outside fences, with line numbers.
    pub(crate) prose: Vec<(usize, String)>,
}

/// A fenced code block.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Line of the opening fence.
    pub(crate) line: usize,
    /// What follows the fence: language and marks.
    pub(crate) info: String,
    /// The text.
    pub(crate) text: String,
}

/// Takes a document apart.
pub(crate) fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let fence = line.trim_start().strip_prefix("```");
        match (open.take(), fence) {
            (Some(block), Some(_)) => document.blocks.push(block),
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, Some(info)) => {
                open = Some(Block { line: number, info: info.trim().to_owned(), text: String::new() })
            }
            (None, None) => document.prose_line(number, line),
        }
    }
    document
}

impl Document {
    fn prose_line(&mut self, number: usize, line: &str) {
        if line.starts_with('#') {
            self.anchors.push(anchor(line.trim_start_matches('#')));
        }
        for (index, part) in line.split('`').enumerate() {
            if index % 2 == 1 {
                self.code.push((number, part.to_owned()));
            } else {
                self.links.extend(link_targets(part).map(|target| (number, target.to_owned())));
            }
        }
        self.prose.push((number, line.to_owned()));
    }
}

/// Targets of inline links. A link text with code in it is cut at the backtick; its target still is in a later part.
fn link_targets(part: &str) -> impl Iterator<Item = &str> {
    part.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Anchor of a heading, by the rules of the usual forges.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_taken_apart() {
        let text = "# The `first` part\nSee [a `b`](docs/a.md#x) and `code [no](link)`.\n\n```sh tour\nrensei demo\n\n# no\n```\n";
        let document = parse(text);
        assert_eq!(document.anchors, ["the-first-part"]);
        assert_eq!(document.links, [(2, "docs/a.md#x".to_owned())]);
        assert_eq!(document.code[2].1, "code [no](link)");
        let block = Block { line: 4, info: "sh tour".into(), text: "rensei demo\n\n# no\n".into() };
        assert_eq!(document.blocks, [block]);
    }
}
