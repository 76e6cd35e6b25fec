//! What kits cost, next to what the file system alone costs, measured in the same run.

use clap::Parser;
use rensei_kits::{Detection, Kit, Registry, RegistryOptions, Target};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use xtask::{Goal, Options, Report, Row, Samples};

const KITS: usize = 1000;
const DETECTING: usize = 100;
const FILES: usize = 20_000;
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Args { options } = Args::parse();
    let mut report = Report::begin();
    let dir = tempfile::Builder::new().prefix("bench-kits-").tempdir_in(&options.scratch)?;
    let rounds = if options.quick { 3 } else { 21 };
    list(&dir.path().join("kits"), rounds, &mut report)?;
    detect(&dir.path().join("tree"), rounds, &mut report)?;
    report.print(options.json);
    Ok(())
}

/// The median of some rounds, in milliseconds.
fn time<T>(rounds: usize, mut work: impl FnMut() -> T) -> f64 {
    let mut samples = Samples::default();
    for _round in 0..rounds {
        samples.take("", || std::hint::black_box(work()));
    }
    samples.median("")
}

fn manifest(n: usize) -> String {
    format!(
        "api = \"rensei.dev/v1\"\n[kit]\nid = \"team/kit-{n:04}\"\nversion = \"1.0.0\"\nname = \"Kit {n}\"\npriority = {n}\n\
         [supports]\nos = [\"linux\", \"macos\"]\n[detect]\nfiles = [\"marker-{n}.toml\", \"marker-{n}.json\"]\n\
         not_files = [\"never\"]\n[provide.commands]\nbuild-{n} = \"make\"\n[[provide.tool_permissions]]\nshell = \"make *\"\n\
         [[provide.prompt_fragments]]\npartial = \"p\"\ntext = \"Be brief.\"\n[composition]\norder = \"project\"\n"
    )
}

fn list(dir: &Path, rounds: usize, report: &mut Report) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    for n in 0..KITS {
        fs::write(dir.join(format!("team__kit-{n:04}.kit.toml")), manifest(n))?;
    }
    // Files that have just been written are read again: the registry cannot know better.
    std::thread::sleep(Duration::from_millis(150));
    let registry = || Registry::new(RegistryOptions { scan_paths: vec![dir.to_owned()], ..RegistryOptions::default() });
    let read = time(rounds, || {
        entries(dir).iter().filter_map(|path| fs::read(path).ok()).map(|bytes| bytes.len()).sum::<usize>()
    });
    let stat = time(rounds, || entries(dir).iter().filter(|path| path.symlink_metadata().is_ok()).count());
    let cold = time(rounds, || registry().list().kits.len());
    let warm_registry = registry();
    if warm_registry.list().kits.len() != KITS {
        return Err("the registry does not see all kits".into());
    }
    let warm = time(rounds, || warm_registry.list().kits.len());
    report.add(
        Row::latency("list of 1000 kits, first time", cold).limit("reading 1000 files", read).goal(Goal::Times(20.0)),
    );
    report.add(
        Row::latency("list of 1000 kits, nothing changed", warm)
            .limit("stat of 1000 files", stat)
            .goal(Goal::Times(10.0)),
    );
    Ok(())
}

fn detect(tree: &Path, rounds: usize, report: &mut Report) -> Result<(), Box<dyn Error>> {
    for n in 0..FILES {
        let dir = tree.join(format!("part-{}/dir-{}/leaf-{}", n % 10, n / 10 % 20, n / 200 % 10));
        if n < FILES / 10 {
            fs::create_dir_all(&dir)?;
        }
        fs::write(dir.join(format!("file-{n}.rs")), "")?;
    }
    for n in 0..10 {
        fs::write(tree.join(format!("part-{n}/marker-{n}.toml")), "")?;
    }
    let kit = |text: String| Kit::read(Path::new("/kits/x.kit.toml"), text.as_bytes()).map(Arc::new);
    let exact = (0..DETECTING).map(|n| kit(manifest(n))).collect::<Result<Vec<_>, _>>()?;
    let globs = (0..DETECTING)
        .map(|n| kit(manifest(n).replace(&format!("marker-{n}.json"), &format!("src/**/*.ext{n}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let found = Detection::of(tree, &exact, Target::host())?.matches.len();
    if found != 10 {
        return Err(format!("{found} kits found instead of 10").into());
    }
    let walk = time(rounds, || walked(tree));
    let by_name =
        time(rounds, || Detection::of(tree, &exact, Target::host()).map_or(0, |detection| detection.matches.len()));
    let by_glob =
        time(rounds, || Detection::of(tree, &globs, Target::host()).map_or(0, |detection| detection.matches.len()));
    let row = |what: &str, measured: f64| Row::latency(what, measured).limit("plain walk over 20 000 files", walk);
    report.add(row("detection, 100 kits by name", by_name).goal(Goal::Times(2.0)));
    report.add(row("detection, 100 kits by deep glob", by_glob).goal(Goal::Times(5.0)));
    Ok(())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn walked(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let counts = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => 1 + walked(&entry.path()),
        _ => 1,
    });
    counts.sum()
}
