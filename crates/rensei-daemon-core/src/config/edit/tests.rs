use super::*;
use crate::config::keys::KEYS;
use proptest::prelude::*;
use rensei_proto::error_chain;

fn subject(env: &BTreeMap<String, String>) -> Subject<'_> {
    Subject { path: Path::new("/x/daemon.yaml"), env }
}

fn home() -> BTreeMap<String, String> {
    [("HOME".to_owned(), "/u".to_owned()), ("SECRET".to_owned(), "rsp_live_expanded".to_owned())].into()
}

fn edited(text: &str, edit: &Edit) -> Result<Option<String>, EditError> {
    apply(text, edit, subject(&home()))
}

fn set(key: &str, value: &str) -> Edit {
    let scalar = value.parse().map_or_else(|_| Scalar::Text(value.to_owned()), Scalar::Number);
    Edit::Set { key: key.to_owned(), value: scalar }
}

fn add(id: &str, repository: &str) -> Edit {
    Edit::AddProject(NewProject { id: id.to_owned(), repository: repository.to_owned(), ..NewProject::default() })
}

fn remove(id: &str) -> Edit {
    Edit::RemoveProject { id: id.to_owned() }
}

const FILE: &str = "# Host of the build farm.\nmachine: {id: 'm1', region: \"home\"} # flow\n\ncapacity:\n    \
    maxConcurrentSessions: 4 # four\n    # inner\n    extra: [1, 2]   # keep\nprojects:\n# first\n- id: a # the a\n  \
    repository: \"https://x/a\"\n  # after a\n\n# about b\n- id: b\n  repository: https://x/b\n  note: |\n    # text\n    \
    more\n# tail\nfuture: 'q'\norchestrator:\n  authToken: ${SECRET} # from the environment\n  url: http://h\n";

#[test]
fn config_edits_change_one_thing() {
    let cases = [
        (set("capacity.maxConcurrentSessions", "0"), "Sessions: 4 # four", "Sessions: 0 # four"),
        (set("capacity.poolMaxDiskGb", "5"), "# keep\n", "# keep\n    poolMaxDiskGb: 5\n"),
        (set("machine.region", "a: b"), "\"home\"", "\"a: b\""),
        (set("orchestrator.url", "https://new.example"), "http://h", "https://new.example"),
        (set("projects[1].cloneStrategy", "full"), "    more\n", "    more\n  cloneStrategy: full\n"),
        (set("trust.mode", "attested"), "url: http://h\n", "url: http://h\ntrust:\n  mode: attested\n"),
        (remove("b"), "- id: b\n  repository: https://x/b\n  note: |\n    # text\n    more\n", ""),
        (remove("a"), "- id: a # the a\n  repository: \"https://x/a\"\n", ""),
        (add("c", "o/n"), "    more\n", "    more\n- id: c\n  repository: o/n\n"),
    ];
    for (edit, old, new) in cases {
        assert_eq!(edited(FILE, &edit).unwrap().as_deref(), Some(FILE.replacen(old, new, 1).as_str()), "{edit:?}");
    }
}

#[test]
fn config_edits_of_files_of_every_style() {
    let project = NewProject {
        id: "n".to_owned(),
        repository: "o/n".to_owned(),
        clone_strategy: Some("full".to_owned()),
        credential_helper: Some("!f() { echo '#'; }; f".to_owned()),
        ssh_key: Some("~/k".to_owned()),
    };
    for text in [
        "",
        "# only a comment",
        "# only a comment\n",
        "---\n# c\n",
        "{}\n",
        "projects: []\n",
        "projects:\n",
        "projects: # none yet\nmachine: {id: m}\n",
        "projects:\n  - id: a\n    repository: r",
        "projects:\n-\n  id: a\n  repository: r\n\n\n",
        "projects: [{id: a, repository: r}] # flow\ncapacity:\n",
        "projects: [\n  {id: a, repository: r}, # one\n  {id: b, repository: r} # two\n]\ncapacity: {}\n",
        "{projects: [], capacity: {poolMaxDiskGb: 1}}\n",
        "machine:\r\n  id: m # crlf\r\nprojects:\r\n- id: a\r\n  repository: r\r\n",
        "\"projects\":\n- \"id\": 'a'\n  'repository': r\n...\n",
        "%YAML 1.2\n---\nmachine: {id: m}\n",
    ] {
        let mut current = text.to_owned();
        for edit in [
            Edit::AddProject(project.clone()),
            Edit::capacity("maxConcurrentSessions", 0),
            set("projects[0].repository", "https://x/y z"),
            set("kit.scanPaths[0]", "~/kits"),
            set("kit.scanPaths[1]", "/kits"),
            remove("n"),
            remove("a"),
        ] {
            current = edited(&current, &edit).unwrap_or_else(|e| panic!("{text:?} {edit:?}: {e:?}")).unwrap_or(current);
        }
        let comments = |text: &str| text.matches("# ").count();
        assert!(comments(&current) >= comments(text) - comments(text).min(2), "{current}");
    }
}

#[test]
fn config_edits_that_say_nothing_new_change_nothing() {
    for edit in [
        set("machine.id", "m1"),
        set("capacity.maxConcurrentSessions", "4"),
        add("a", "somewhere-else"),
        remove("unknown"),
    ] {
        assert_eq!(edited(FILE, &edit).unwrap(), None, "{edit:?}");
    }
}

#[test]
fn config_edits_are_refused_when_the_result_would_be_wrong() {
    let cases = [
        (FILE, set("capacity.maxConcurrentSession", "1"), "no key"),
        (FILE, set("capacity", "1"), "no key"),
        (FILE, set("projects[0]", "x"), "no key"),
        (FILE, set("a..b", "x"), "no key"),
        (FILE, set("projects[7].id", "x"), "2 entries"),
        (FILE, set("projects[99999999999999999999].id", "x"), "no key"),
        (FILE, set("control.auth", "nobody"), "same-user"),
        (FILE, set("capacity.maxConcurrentSessions", "many"), "whole number"),
        (FILE, set("projects[0].repository", "./x"), "relative"),
        (FILE, set("orchestrator.url", "nonsense"), "https://"),
        (FILE, add("", "r"), "missing"),
        (FILE, add("x", "--upload-pack=evil"), "start with `-`"),
        (FILE, add("x\n- id: evil", "r"), "control"),
        ("machine: 7\n", set("machine.id", "x"), "in the way"),
        ("machine: [\n", set("machine.id", "x"), "daemon.yaml:"),
        ("- a\n", set("machine.id", "x"), "no mapping"),
        ("a: 1\n---\nb: 2\n", set("machine.id", "x"), "more than one document"),
        ("projects: 7\n", remove("a"), ""),
        ("projects: {a: 1}\n", add("n", "r"), ""),
        // Without a last newline, whatever comes behind the block adds one to its text.
        ("other: |\n  text", set("kind", "x"), "something else"),
        // One place, two meanings: changing one would change the other.
        ("x: &m {id: m}\nmachine: *m\n", set("machine.id", "n"), "alias"),
        // The comment is outside of the entry, as far as the text tells.
        ("projects:\n- # why\n  id: a\n  repository: r\n", remove("a"), "a comment would be lost"),
    ];
    for (text, edit, expected) in cases {
        match edited(text, &edit) {
            Ok(None) if expected.is_empty() => {}
            Err(error) => {
                let message = error_chain(&error);
                assert!(message.contains(expected), "{edit:?}: {message:?} lacks {expected}");
                assert!(!error.hint().is_empty() && !error.is_retryable());
            }
            other => panic!("{text:?} {edit:?} gave {other:?}"),
        }
    }
}

#[test]
fn config_edits_never_write_what_a_variable_stands_for() {
    let text = edited(FILE, &add("c", "o/n")).unwrap().unwrap();
    let text = edited(&text, &set("orchestrator.url", "https://x")).unwrap().unwrap();
    assert!(text.contains("authToken: ${SECRET} # from the environment"));
    assert!(!text.contains("expanded") && !text.contains("/u"));
}

#[test]
fn config_table_of_keys_is_what_is_read_and_written() {
    let base = "projects:\n- id: p\n  repository: r\norchestrator:\n  url: http://h\n";
    let defaults = Defaults { hostname: "h".to_owned(), cpus: 1 };
    let read = |text: &str| load::parse(Path::new("x"), text, &home(), &defaults).unwrap().config;
    let old = read(base);
    for key in KEYS {
        let place = key.path.replace("[]", "[0]");
        let text = edited(base, &set(&place, key.example)).unwrap_or_else(|e| panic!("{}: {e:?}", key.path)).unwrap();
        let new = read(&text);
        let differing: Vec<_> = KEYS.iter().filter(|k| (k.differs)(&old, &new)).map(|k| k.path).collect();
        assert_eq!(differing, [key.path], "{text}");
    }
}

/// A comment of its own, so that each can be found again.
fn comment(number: &mut usize, wanted: bool) -> String {
    if !wanted {
        return String::new();
    }
    *number += 1;
    format!("# comment {number}")
}

/// Files as people write them: sections in any order and indentation, comments everywhere, unknown keys, styles mixed.
fn arbitrary_file() -> impl Strategy<Value = String> {
    let section = (0..9_usize, any::<[bool; 6]>());
    let projects = proptest::collection::vec((0..6_usize, 0..4_usize, any::<[bool; 4]>()), 0..5);
    let order = proptest::collection::vec(section, 1..9);
    (order, projects, any::<[bool; 4]>()).prop_map(|(order, projects, style)| {
        let mut number = 0;
        let mut text = String::new();
        let mut seen = [false; 9];
        for (which, flags) in order {
            if std::mem::replace(&mut seen[which], true) {
                continue;
            }
            let mut note = |wanted: bool| comment(&mut number, wanted);
            let pad = if flags[0] { "    " } else { "  " };
            if flags[1] {
                text += &format!("\n{}\n", note(true));
            }
            let tail = note(flags[2]);
            let inner = note(flags[3]);
            match which {
                0 => text += &format!("machine:  {{id: 'm', region: home}}   {tail}\n"),
                1 => text += &format!("capacity: {tail}\n{pad}maxConcurrentSessions: 4 {inner}\n{pad}mine: \"x\"\n"),
                2 => text += &format!("unknown: {tail}\n{pad}deep:\n{pad}{pad}- a   {inner}\n{pad}{pad}- [1,  2]\n"),
                3 => {
                    text += &format!(
                        "orchestrator:\n{pad}url: http://h   {tail}\n{pad}{inner}\n{pad}authToken: ${{SECRET}}\n"
                    )
                }
                4 => text += &format!("other: |\n{pad}# no comment\n{pad}text: 'as it is'\n{tail}\n"),
                5 => text += &format!("\"quoted key\": 'it''s' {tail}\n"),
                6 => text += &format!("trust: {{mode: permissive, issuerSet: [a,  b]}} {tail}\n"),
                7 => text += &format!("autoUpdate: {tail}\n{inner}\nkit:\n{pad}scanPaths:\n{pad}- /a\n"),
                _ => text += &projects_section(&projects, style, &mut note),
            }
        }
        // Without its last newline, a block of text at the end would change with anything that is put behind it.
        let ends_in_block = text.trim_end().ends_with("'as it is'");
        if style[3] && !ends_in_block { text.trim_end().to_owned() } else { text }
    })
}

fn projects_section(
    projects: &[(usize, usize, [bool; 4])],
    style: [bool; 4],
    note: &mut dyn FnMut(bool) -> String,
) -> String {
    if projects.is_empty() {
        return format!("projects:{} {}\n", if style[0] { " []" } else { "" }, note(style[1]));
    }
    if style[2] {
        let entries: Vec<_> = projects.iter().map(|(id, ..)| format!("{{id: p{id}, repository: r}}")).collect();
        return format!("projects: [{}] {}\n", entries.join(",  "), note(style[1]));
    }
    let pad = if style[0] { "  " } else { "" };
    let mut text = format!("projects: {}\n", note(style[1]));
    for (id, extra, flags) in projects {
        text += &format!("{pad}{}\n", note(flags[0]));
        text += &format!("{pad}- id: p{id} {}\n{pad}  repository: 'r'   {}\n", note(flags[1]), note(flags[2]));
        text += &match extra {
            0 => String::new(),
            1 => format!("{pad}  git: {{sshKey: /k}}\n"),
            2 => format!("{pad}  mine:\n{pad}    - x\n"),
            _ => format!("{pad}  git:\n{pad}    credentialHelper: cache\n"),
        };
        text += &format!("{pad}{}\n", note(flags[3]));
    }
    text
}

fn arbitrary_edit() -> impl Strategy<Value = Edit> {
    let texts = || prop_oneof!["[a-z]{1,8}", "[ -~]{0,12}", "\\PC{0,6}", "[#:'\" \\-\\n\\t{}\\[\\]&*!|>%@`]{1,6}"];
    let key =
        (0..KEYS.len(), 0..4_usize).prop_map(|(index, entry)| KEYS[index].path.replace("[]", &format!("[{entry}]")));
    let value = prop_oneof![
        (0..20_u64).prop_map(Scalar::Number),
        texts().prop_map(Scalar::Text),
        (0..KEYS.len()).prop_map(|index| Scalar::Text(KEYS[index].example.to_owned())),
    ];
    let example = (0..KEYS.len(), 0..3_usize)
        .prop_map(|(index, entry)| set(&KEYS[index].path.replace("[]", &format!("[{entry}]")), KEYS[index].example));
    let known = prop_oneof![3 => "p[0-8]", 1 => texts()];
    let new = (known.clone(), prop_oneof![Just("o/n".to_owned()), texts()], proptest::option::of(texts()));
    prop_oneof![
        2 => new.prop_map(|(id, repository, credential_helper)| {
            Edit::AddProject(NewProject { id, repository, credential_helper, ..NewProject::default() })
        }),
        2 => known.prop_map(|id| Edit::RemoveProject { id }),
        2 => example,
        1 => (key, value).prop_map(|(key, value)| Edit::Set { key, value }),
        1 => ("[a-zA-Z.\\[\\]0-9]{0,20}", Just(Scalar::Number(1))).prop_map(|(key, value)| Edit::Set { key, value }),
    ]
}

/// Numbers of the comments of [`arbitrary_file`] in `text`, in order.
fn numbers(text: &str) -> Vec<usize> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    text.split("# comment ").skip(1).filter_map(number).collect()
}

/// The values of `text` that no edit may touch.
fn unknown(text: &str) -> Vec<(Value, Value)> {
    let Value::Mapping(root) = values(text, Path::new("x")).unwrap() else { panic!("no mapping") };
    let mine = root.get("capacity").and_then(|capacity| capacity.get("mine")).cloned();
    let root = root.into_iter().filter(|(key, _)| {
        !super::super::keys::KEYS.iter().any(|known| known.path.split(['.', '[']).next() == key.as_str())
    });
    root.chain(mine.map(|mine| (Value::from("mine"), mine))).collect()
}

fn seed() -> proptest::test_runner::RngSeed {
    let asked = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|text| text.parse().ok());
    proptest::test_runner::RngSeed::Fixed(asked.unwrap_or(7734))
}

/// Makes one edit after the other and looks at each result: it says what it should, and nothing else has changed.
fn edit_one_by_one(mut text: String, edits: Vec<Edit>) -> Result<(), TestCaseError> {
    let env = home();
    for edit in edits {
        let old = values(&text, Path::new("x")).unwrap();
        let outcome = apply(&text, &edit, subject(&env));
        match &outcome {
            // Files like these can always be edited: a refusal is about the value that was asked for.
            Err(EditError::NotPossible { reason, .. }) => {
                prop_assert!(reason.contains("entries") || reason.contains("in the way"), "{edit:?} {reason}\n{text}");
            }
            Err(error) => {
                let about_the_value = matches!(error, EditError::Invalid { .. } | EditError::UnknownKey { .. });
                prop_assert!(about_the_value, "{error:?}");
            }
            Ok(None) => prop_assert!(says_already(&old, &edit), "{edit:?} was not made\n{text}"),
            Ok(Some(new)) => {
                prop_assert!(load::parse(Path::new("x"), new, &env, &defaults()).is_ok(), "{edit:?}\n{new}");
                prop_assert_eq!(unknown(new), unknown(&text));
                let expected = expected_values(old, &edit);
                prop_assert!(same(&values(new, Path::new("x")).unwrap(), &expected), "{edit:?}\n{text}\n{new}");
                let lost: Vec<_> = numbers(&text).into_iter().filter(|n| !numbers(new).contains(n)).collect();
                prop_assert!(may_be_lost(&text, &edit, &lost), "{edit:?} lost {lost:?}\n{text}\n{new}");
                let mut sorted = numbers(new);
                sorted.sort_unstable();
                prop_assert_eq!(sorted, numbers(new), "comments stay in order");
                prop_assert!(!new.contains("rsp_live_expanded"));
                text.clone_from(new);
            }
        }
    }
    Ok(())
}

#[test]
fn config_edits_that_once_went_wrong() {
    let with_helper = NewProject {
        id: "p0".to_owned(),
        repository: "o/n".to_owned(),
        credential_helper: Some("A:?".to_owned()),
        ..NewProject::default()
    };
    for (text, edit) in [
        ("projects: [] \n", Edit::AddProject(with_helper)),
        ("projects: \n\n- id: p2 \n  repository: 'r'   \n\n", remove("p2")),
        ("machine:  {id: 'm', region: home}   \n", add("p0", "\t")),
        ("machine:  {id: 'm', region: home}   \n", add("\t", "o/n")),
        ("machine:  {id: 'm', region: home}   \n", set("machine.region", "\t")),
    ] {
        edit_one_by_one(text.to_owned(), vec![edit]).unwrap();
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

proptest! {
    // The same cases in every run, so that a failure is always somebody's change. `PROPTEST_RNG_SEED` explores others.
    #![proptest_config(ProptestConfig { cases: cases(), rng_seed: seed(), ..ProptestConfig::default() })]

    #[test]
    fn config_comments_and_unknown_keys_survive_any_edits(
        file in arbitrary_file(),
        edits in proptest::collection::vec(arbitrary_edit(), 1..12),
    ) {
        edit_one_by_one(file, edits)?;
    }
}

fn defaults() -> Defaults {
    Defaults { hostname: String::new(), cpus: 1 }
}

/// Whether there is nothing to change.
fn says_already(old: &Value, edit: &Edit) -> bool {
    let has = |wanted: &str| {
        let projects = old.get("projects").and_then(Value::as_sequence);
        projects.is_some_and(|projects| projects.iter().any(|project| project.get("id") == Some(&Value::from(wanted))))
    };
    match edit {
        Edit::AddProject(project) => has(&project.id),
        Edit::RemoveProject { id } => !has(id),
        Edit::Set { .. } => same(old, &expected_values(old.clone(), edit)),
    }
}

/// What an edit means, written a second time and by other means than in the code under test.
fn expected_values(old: Value, edit: &Edit) -> Value {
    let mut json: serde_json::Value = serde_json::to_value(&old).unwrap();
    match edit {
        Edit::AddProject(project) => {
            let mut entry = serde_json::json!({"id": project.id, "repository": project.repository});
            if let Some(helper) = &project.credential_helper {
                entry["git"] = serde_json::json!({"credentialHelper": helper});
            }
            let projects = &mut json["projects"];
            if projects.is_null() {
                *projects = serde_json::json!([]);
            }
            projects.as_array_mut().unwrap().push(entry);
        }
        Edit::RemoveProject { id } => {
            json["projects"].as_array_mut().unwrap().retain(|project| project["id"] != serde_json::json!(id));
        }
        Edit::Set { key, value } => {
            let value = match value {
                Scalar::Number(number) => serde_json::json!(number),
                Scalar::Text(text) => serde_json::json!(text),
            };
            let parts: Vec<&str> = key.split(['.', '[']).collect();
            let mut place = &mut json;
            for part in parts {
                if let Some(index) = part.strip_suffix(']') {
                    let index: usize = index.parse().unwrap();
                    if place.is_null() {
                        *place = serde_json::json!([]);
                    }
                    let list = place.as_array_mut().unwrap();
                    if index == list.len() {
                        list.push(serde_json::Value::Null);
                    }
                    place = &mut list[index];
                } else {
                    place = &mut place[part];
                }
            }
            *place = value;
        }
    }
    let mut new = serde_yaml::to_value(&json).unwrap();
    reorder(&mut new, &old);
    new
}

/// Brings the keys of `new` into the order of `old`, new ones last: JSON objects have an order of their own.
fn reorder(new: &mut Value, old: &Value) {
    match (new, old) {
        (Value::Mapping(new), old) => {
            let mut taken = std::mem::take(new);
            let order: Vec<Value> = old.as_mapping().map(|old| old.keys().cloned().collect()).unwrap_or_default();
            let canonical = ["id", "repository", "git"].map(Value::from);
            for key in order.iter().chain(&canonical) {
                if let Some(mut value) = taken.shift_remove(key) {
                    reorder(&mut value, old.get(key).unwrap_or(&Value::Null));
                    new.insert(key.clone(), value);
                }
            }
            for (key, mut value) in taken {
                reorder(&mut value, &Value::Null);
                new.insert(key, value);
            }
        }
        (Value::Sequence(new), Value::Sequence(old)) => {
            let removed = new.len() < old.len();
            let mut candidates = old.iter();
            for entry in new {
                // Without a removal the entries are where they were; after one they are found by their ids.
                let twin = candidates.find(|old| !removed || old.get("id") == entry.get("id"));
                reorder(entry, twin.unwrap_or(&Value::Null));
            }
        }
        (Value::Sequence(new), _) => new.iter_mut().for_each(|entry| reorder(entry, &Value::Null)),
        _ => {}
    }
}

/// Comments go only with a removed project, and then only from between its first and its last key.
fn may_be_lost(text: &str, edit: &Edit, lost: &[usize]) -> bool {
    let Edit::RemoveProject { id } = edit else { return lost.is_empty() };
    lost.iter().all(|number| {
        let place = text.find(&format!("# comment {number}")).unwrap();
        let line = text[..place].rfind('\n').map_or(0, |newline| newline + 1);
        // It stands behind a key of the entry, on the same line or between its keys.
        let start = text[..place].rfind(&format!("- id: {id} "));
        !text[line..place].trim().is_empty() && start.is_some_and(|start| !text[start + 1..place].contains("- id: "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: seed(), ..ProptestConfig::default() })]

    #[test]
    fn config_edits_of_any_text_are_right_or_refused(
        text in "([a-z]{0,3}|machine|projects|capacity|[-:#'\"&*!|>%@`{}\\[\\], \n\t~<]){0,30}",
        edit in arbitrary_edit(),
    ) {
        if let Ok(Some(new)) = edited(&text, &edit) {
            let expected = expected_values(values(&text, Path::new("x")).unwrap(), &edit);
            prop_assert!(same(&values(&new, Path::new("x")).unwrap(), &expected), "{text}\n{new}");
        }
    }
}
