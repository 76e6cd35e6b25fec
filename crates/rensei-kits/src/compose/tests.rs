//! Composition: rules, refusals, and that input order does not matter.

use super::*;
use crate::kit::Kit;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const LINUX: Target = Target { os: "linux", arch: None };
const ALL: Purpose<'static> = Purpose { target: LINUX, work_type: "", unsigned_files: true };

fn kit_at(path: &Path, id: &str, rules: &str) -> Arc<Kit> {
    Arc::new(Kit::read(path, format!("{rules}\n[kit]\nid = \"{id}\"\n").as_bytes()).unwrap())
}

fn at(root: &str, id: &str, rules: &str) -> Match {
    let kit = kit_at(Path::new("/no/such/x.kit.toml"), id, rules);
    Match { kit, root: root.to_owned(), confidence: 60, reasons: vec![] }
}

fn compose(matches: Vec<Match>, purpose: Purpose<'_>) -> Result<Composition, AmbiguousClaims> {
    let detection = Detection { tree: "/tree".into(), matches, rejected: vec![], truncated: false };
    Composition::of(&detection, purpose)
}

#[test]
fn contributions_add_up() {
    let a = at(
        "",
        "a",
        "[provide.commands]\nbuild = \"one\"\n[[provide.tool_permissions]]\nshell = \"git *\"\n\
        [provide.toolchain_install.linux]\nz = \"install z\"\na = \"install a\"\n[provide.hooks]\npost_acquire = \"echo a\"",
    );
    let b = at(
        "",
        "b",
        "[provide.commands]\ntest = \"two\"\n[[provide.tool_permissions]]\nshell = \"git *\"\n\
        [provide.toolchain_install.linux]\nb = \"install a\"\n[provide.hooks]\npost_acquire = \"echo b\"\npre_release = \"bye\"\n\
        [provide.hooks.os.linux]\npost_acquire = \"echo linux\"",
    );
    let composed = compose(vec![b, a], ALL).unwrap();
    let commands: Vec<&str> = composed.commands.iter().map(|command| command.run.as_str()).collect();
    assert_eq!((commands, composed.allowed_shell), (vec!["one", "two"], vec!["git *".to_owned()]));
    let runs = |hooks: &[Hook]| hooks.iter().map(|hook| hook.run.clone()).collect::<Vec<_>>();
    assert_eq!(runs(&composed.toolchain_install), ["install a", "install z"], "keys sorted, same text once");
    assert_eq!(runs(&composed.post_acquire), ["echo a", "echo linux"]);
    assert_eq!(runs(&composed.pre_release), ["bye"]);
}

#[test]
fn ambiguous_claims_name_every_claimant() {
    let claim = |root: &str, id: &str| {
        at(root, id, "[provide.commands]\nbuild = \"x\"\n[[provide.mcp_servers]]\nname = \"docs\"")
    };
    let error = compose(vec![claim("", "c"), claim("", "a"), claim("", "b")], ALL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MCP server `docs` is claimed by a, b, c; command `build` in . is claimed by a, b, c"
    );
    assert_eq!(error.hint().unwrap(), "disable one of them: rensei kit disable c");
    // The same command of two directories is two commands.
    let build = |root: &str, id: &str| at(root, id, "[provide.commands]\nbuild = \"x\"");
    assert_eq!(compose(vec![build("web", "a"), build("api", "b")], ALL).unwrap().commands.len(), 2);
}

#[test]
fn overrides_are_for_own_commands_of_the_same_system() {
    let rules = "[provide.commands]\nbuild = \"x\"\ntest = \"t\"\n[provide.commands_override.linux]\nbuild = \"y\"\nother = \"z\"\n\
                 [provide.commands_override.macos]\ntest = \"no\"";
    let runs: Vec<String> =
        compose(vec![at("", "a", rules)], ALL).unwrap().commands.into_iter().map(|c| c.run).collect();
    assert_eq!(runs, ["y", "t"]);
}

#[test]
fn texts_are_for_their_type_of_work_and_files_are_what_was_described() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.kit.toml");
    std::fs::create_dir(dir.path().join("a.kit.d")).unwrap();
    std::fs::write(dir.path().join("a.kit.d/good.md"), "test").unwrap();
    std::fs::write(dir.path().join("plain.md"), " plain \n").unwrap();
    std::fs::write(dir.path().join("a.kit.d/bad.md"), "changed").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link.md")).unwrap();
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let fragment = |name: &str, more: &str| format!("[[provide.prompt_fragments]]\npartial = \"{name}\"\n{more}\n");
    let rules = [
        fragment("good", "file = \"good.md\""),
        fragment("plain", "file = \"plain.md\"\nwhen = [\"qa\"]"),
        fragment("inline", "text = \"hello\"\nwhen = [\"development\"]"),
        fragment("bad", "file = \"bad.md\""),
        fragment("gone", "file = \"gone.md\""),
        fragment("link", "file = \"link.md\""),
        format!("[files]\n\"good.md\" = \"{digest}\"\n\"bad.md\" = \"{digest}\"\n"),
    ]
    .concat();
    let found = Match { kit: kit_at(&path, "a", &rules), root: String::new(), confidence: 60, reasons: vec![] };
    let texts = |purpose| {
        let composed = compose(vec![found.clone()], purpose).unwrap();
        (composed.prompt.into_iter().map(|text| text.text).collect::<Vec<_>>(), composed.warnings)
    };
    let (all, warnings) = texts(ALL);
    assert_eq!(all, ["test", "plain", "hello"]);
    assert_eq!(warnings.len(), 3);
    assert_eq!(warnings[0], "prompt fragment `bad` of a: bad.md is not the file that [files] describes");
    assert_eq!(warnings[1], "prompt fragment `gone` of a: gone.md is not installed");
    assert_eq!(texts(Purpose { work_type: "qa", ..ALL }).0, ["test", "plain"]);
    let (strict, warnings) = texts(Purpose { unsigned_files: false, ..ALL });
    assert_eq!(strict, ["test", "hello"], "a text in the manifest is signed with it");
    assert!(warnings[0].contains("has no digest in [files]"), "{warnings:?}");
}

#[test]
fn scripts_of_hooks_are_files_of_the_kit() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("bin")).unwrap();
    std::fs::write(dir.path().join("bin/setup.sh"), "echo hi").unwrap();
    let rules = "[provide.hooks]\npost_acquire = \"bin/setup.sh\"\npre_release = \"bin/none.sh\"";
    let kit = kit_at(&dir.path().join("a.kit.toml"), "a", rules);
    let composed = compose(vec![Match { kit, root: "web".into(), confidence: 60, reasons: vec![] }], ALL).unwrap();
    assert_eq!(composed.post_acquire[0].script.as_deref(), Some(dir.path().join("bin/setup.sh").as_path()));
    assert_eq!((composed.post_acquire[0].root.as_str(), composed.pre_release.len()), ("web", 0));
    assert_eq!(composed.warnings, ["hook bin/none.sh of a: bin/none.sh is not installed"]);
}

/// Kits with few names, so that claims collide often.
fn some_matches() -> impl Strategy<Value = Vec<Match>> {
    let one = (0..4_u8, 0..3_u8, 0..3_u8, -1..2_i64, 0..3_u8).prop_map(|(id, root, command, priority, order)| {
        let order = ["foundation", "framework", "project"][usize::from(order)];
        let root = ["", "web", "web/api"][usize::from(root)];
        let text = format!(
            "[kit]\nid = \"k{id}\"\npriority = {priority}\n[composition]\norder = \"{order}\"\n\
             [provide.commands]\nc{command} = \"run {id}\"\n[[provide.tool_permissions]]\nshell = \"t{command} *\"\n\
             [[provide.prompt_fragments]]\npartial = \"p\"\ntext = \"text of {id}\"\n\
             [provide.toolchain_install.linux]\nt = \"install {command}\"\n[detect.toolchain]\ntool{command} = \"{id}\"\n"
        );
        let kit = Arc::new(Kit::read(Path::new("/x.kit.toml"), text.as_bytes()).unwrap());
        Match { kit, root: root.to_owned(), confidence: 60, reasons: vec![] }
    });
    // A kit applies to a directory once.
    proptest::collection::vec(one, 0..8).prop_map(|mut matches| {
        let mut seen = BTreeSet::new();
        matches.retain(|found| seen.insert((found.kit.id().to_string(), found.root.clone())));
        // And it is one kit wherever it applies.
        let kits: BTreeMap<String, Arc<Kit>> =
            matches.iter().map(|found| (found.kit.id().to_string(), Arc::clone(&found.kit))).collect();
        matches.iter_mut().for_each(|found| found.kit = Arc::clone(&kits[found.kit.id().as_str()]));
        matches
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_kits_does_not_matter(matches in some_matches(), seed in any::<u64>()) {
        let mut shuffled = matches.clone();
        let mut state = seed | 1;
        for place in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(place, (state >> 33) as usize % (place + 1));
        }
        prop_assert_eq!(compose(matches, ALL), compose(shuffled, ALL));
    }

    #[test]
    fn a_name_has_one_owner_or_the_claim_is_refused_with_all(matches in some_matches()) {
        let mut owners: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for found in &matches {
            for name in found.kit.manifest.provide.commands.keys() {
                owners.entry((found.root.clone(), name.clone())).or_default().insert(found.kit.id().to_string());
            }
        }
        let several: usize = owners.values().filter(|kits| kits.len() > 1).count();
        match compose(matches, ALL) {
            Ok(composed) => {
                prop_assert_eq!(several, 0);
                prop_assert_eq!(composed.commands.len(), owners.len());
            }
            Err(error) => {
                prop_assert_eq!(error.claims.len(), several);
                for claim in &error.claims {
                    let expected = &owners[&(claim.root.clone(), claim.name.clone())];
                    prop_assert!(claim.claimants.iter().eq(expected));
                }
            }
        }
    }
}
