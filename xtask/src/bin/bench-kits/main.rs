//! What kits cost, next to what the file system alone costs, measured in the same run.
#![expect(clippy::print_stdout, reason = "the report")]

use rensei_kits::{Detection, Kit, Registry, RegistryOptions, Target};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KITS: usize = 1000;
const DETECTING: usize = 100;
const FILES: usize = 20_000;
/// Of so many rounds the median counts.
const ROUNDS: usize = 21;

/// One line of the report.
struct Row {
    what: &'static str,
    measured: Duration,
    limit: &'static str,
    alone: Duration,
    /// Times of the limit.
    goal: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("bench-kits-").tempdir_in(scratch)?;
    let mut rows = list(&dir.path().join("kits"))?;
    rows.extend(detect(&dir.path().join("tree"))?);
    println!("{:<44} {:>10}  {:<34} {:>10} {:>7} {:>7}", "", "measured", "limit", "", "ratio", "goal");
    for row in rows {
        let ratio = row.measured.as_secs_f64() / row.alone.as_secs_f64();
        println!(
            "{:<44} {:>7.2} ms  {:<34} {:>7.2} ms {:>6.2}x {:>6.1}x{}",
            row.what,
            milliseconds(row.measured),
            row.limit,
            milliseconds(row.alone),
            ratio,
            row.goal,
            if ratio > row.goal { "  missed" } else { "" }
        );
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The median of some rounds.
fn time<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(work());
            started.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn manifest(n: usize) -> String {
    format!(
        "api = \"rensei.dev/v1\"\n[kit]\nid = \"team/kit-{n:04}\"\nversion = \"1.0.0\"\nname = \"Kit {n}\"\npriority = {n}\n\
         [supports]\nos = [\"linux\", \"macos\"]\n[detect]\nfiles = [\"marker-{n}.toml\", \"marker-{n}.json\"]\n\
         not_files = [\"never\"]\n[provide.commands]\nbuild-{n} = \"make\"\n[[provide.tool_permissions]]\nshell = \"make *\"\n\
         [[provide.prompt_fragments]]\npartial = \"p\"\ntext = \"Be brief.\"\n[composition]\norder = \"project\"\n"
    )
}

fn list(dir: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    for n in 0..KITS {
        fs::write(dir.join(format!("team__kit-{n:04}.kit.toml")), manifest(n))?;
    }
    // Files that have just been written are read again: the registry cannot know better.
    std::thread::sleep(Duration::from_millis(150));
    let registry = || Registry::new(RegistryOptions { scan_paths: vec![dir.to_owned()], ..RegistryOptions::default() });
    let read =
        time(|| entries(dir).iter().filter_map(|path| fs::read(path).ok()).map(|bytes| bytes.len()).sum::<usize>());
    let stat = time(|| entries(dir).iter().filter(|path| path.symlink_metadata().is_ok()).count());
    let cold = time(|| registry().list().kits.len());
    let warm_registry = registry();
    if warm_registry.list().kits.len() != KITS {
        return Err("the registry does not see all kits".into());
    }
    let warm = time(|| warm_registry.list().kits.len());
    Ok(vec![
        Row {
            what: "list of 1000 kits, first time",
            measured: cold,
            limit: "reading 1000 files",
            alone: read,
            goal: 20.0,
        },
        Row {
            what: "list of 1000 kits, nothing changed",
            measured: warm,
            limit: "stat of 1000 files",
            alone: stat,
            goal: 10.0,
        },
    ])
}

fn detect(tree: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
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
    let walk = time(|| walked(tree));
    let by_name = time(|| Detection::of(tree, &exact, Target::host()).map_or(0, |detection| detection.matches.len()));
    let by_glob = time(|| Detection::of(tree, &globs, Target::host()).map_or(0, |detection| detection.matches.len()));
    let limit = "plain walk over 20 000 files";
    Ok(vec![
        Row { what: "detection, 100 kits by name, 20 000 files", measured: by_name, limit, alone: walk, goal: 2.0 },
        Row { what: "detection, 100 kits by deep glob", measured: by_glob, limit, alone: walk, goal: 5.0 },
    ])
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
