//! Other names of commands. They are replaced before the command line is parsed, so help, completions and the reference
//! know one name only.

use std::ffi::OsString;

/// Another name of a noun.
#[derive(Debug)]
struct Alias {
    old: &'static [&'static str],
    new: &'static [&'static str],
    /// Whether the name will go away.
    is_deprecated: bool,
}

/// What once was about other machines than this one, which no command here is.
const ELSEWHERE: &[&[&str]] = &[&["machine"], &["execution", "route"]];

/// All of them.
const ALIASES: &[Alias] = &[
    Alias { old: &["daemon"], new: &["host"], is_deprecated: true },
    Alias { old: &["execution"], new: &["capacity"], is_deprecated: true },
    Alias { old: &["host", "capacity"], new: &["capacity"], is_deprecated: false },
    Alias { old: &["host", "kit"], new: &["kit"], is_deprecated: false },
    Alias { old: &["host", "provider"], new: &["provider"], is_deprecated: false },
    Alias { old: &["host", "routing"], new: &["routing"], is_deprecated: false },
    Alias { old: &["host", "workarea"], new: &["workarea"], is_deprecated: false },
    Alias { old: &["host", "session"], new: &["session"], is_deprecated: false },
];

/// The command line under today's names, and what to say about the one that was used.
pub(crate) fn resolve(mut argv: Vec<OsString>) -> (Vec<OsString>, Option<String>) {
    let at = first_word(&argv);
    let word = |n: usize| argv.get(n).and_then(|word| word.to_str());
    let is_used = |name: &[&str]| name.iter().enumerate().all(|(n, old)| word(at + n) == Some(old));
    if let Some(name) = ELSEWHERE.iter().find(|name| is_used(name)) {
        let notice = format!("`rensei {}` is about a fleet, which this program does not manage", name.join(" "));
        return (argv, Some(format!("{notice}; this machine: `rensei host --help`")));
    }
    let Some(alias) = ALIASES.iter().find(|alias| is_used(alias.old)) else { return (argv, None) };
    let behind = at + alias.old.len();
    let verb =
        word(behind).filter(|verb| verb.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !verb.starts_with('-'));
    let named = |noun: &[&str]| noun.iter().copied().chain(verb).collect::<Vec<_>>().join(" ");
    let notice = alias.is_deprecated.then(|| {
        let (old, new) = (named(alias.old), named(alias.new));
        format!("`rensei {old}` is now `rensei {new}`; the old name will be removed in a future version")
    });
    argv.splice(at..behind, alias.new.iter().map(OsString::from));
    (argv, notice)
}

/// Position of the first word behind the program's name that is no flag and no value of one.
fn first_word(argv: &[OsString]) -> usize {
    let mut at = 1;
    while let Some(word) = argv.get(at).filter(|word| word.as_encoded_bytes().starts_with(b"-")) {
        at += if word == "--color" { 2 } else { 1 };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::RenseiArgs;
    use clap::CommandFactory;

    fn resolved(line: &str) -> (String, Option<String>) {
        let (argv, notice) = resolve(line.split(' ').map(OsString::from).collect());
        (argv.join(" ".as_ref()).into_string().unwrap(), notice)
    }

    #[test]
    fn old_names_become_new_ones_and_are_told_of() {
        let (line, notice) = resolved("rensei --color never -v daemon stop --port 1");
        assert_eq!(line, "rensei --color never -v host stop --port 1");
        assert!(notice.unwrap().starts_with("`rensei daemon stop` is now `rensei host stop`;"));
        assert!(resolved("rensei daemon --help").1.unwrap().starts_with("`rensei daemon` is now `rensei host`;"));
        let (line, notice) = resolved("rensei execution set capacity.maxConcurrentSessions 4");
        assert_eq!(line, "rensei capacity set capacity.maxConcurrentSessions 4");
        assert!(notice.unwrap().starts_with("`rensei execution set` is now `rensei capacity set`;"));
        assert_eq!(resolved("rensei host session list"), ("rensei session list".to_owned(), None));
    }

    #[test]
    fn other_lines_stay() {
        for line in ["rensei", "rensei host status", "rensei session show daemon", "rensei --color"] {
            assert_eq!(resolved(line), (line.to_owned(), None));
        }
    }

    #[test]
    fn what_is_about_other_machines_is_told_apart_from_a_mistake() {
        for (line, name) in [("rensei machine list", "machine"), ("rensei execution route show p", "execution route")] {
            let (same, notice) = resolved(line);
            assert_eq!(same, line);
            assert!(notice.unwrap().starts_with(&format!("`rensei {name}` is about a fleet")));
        }
        assert_eq!(resolved("rensei execution --help").0, "rensei capacity --help");
    }

    #[test]
    fn every_new_name_exists() {
        let mut command = RenseiArgs::command();
        command.build();
        for alias in ALIASES {
            let found = alias.new.iter().try_fold(&command, |command, word| command.find_subcommand(word));
            assert!(found.is_some(), "{alias:?}");
        }
    }
}
