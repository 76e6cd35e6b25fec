//! Behind `cargo xtask bench archive`: archiving, restoring and comparing a tree, next to the machine's own tools on the
//! same data in the same run.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends with its reason")]

mod peers;

use clap::Parser;
use rensei_proto::control::RestoreRequest;
use rensei_workarea::{ArchiveMetadata, Archives, RestoreContext};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xtask::{Goal, Options, Report, Row, Samples};

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Args { options } = Args::parse();
    let mut report = Report::begin();
    let (files, rounds) = if options.quick { (2000, 3) } else { (20_000, 9) };
    let scratch = tempfile::tempdir_in(&options.scratch).expect("the scratch directory is writable");
    let bench = Bench::new(scratch.path(), files);
    let mut samples = Samples::default();
    // One of each per round, so that the neighbours disturb all alike.
    for _round in 0..rounds {
        bench.copies(&mut samples);
        bench.differences(&mut samples);
    }
    tell(&samples, &mut report);
    report.print(options.json);
    ExitCode::SUCCESS
}

fn tell(samples: &Samples, report: &mut Report) {
    let row = |what: &str, measured: &str, limit: &str| {
        Row::latency(what, samples.best(measured)).limit(limit, samples.best(limit))
    };
    for (what, measured) in [("archive", "archive"), ("restore", "restore")] {
        report.add(row(what, measured, "cp -a --reflink=auto"));
        report.add(row(what, measured, "two parallel cp -a").goal(Goal::Times(1.3)));
    }
    report.add(row("diff, 1 % changed", "diff", "git diff --no-index --raw").goal(Goal::Times(1.0)));
    report.add(row("diff, 1 % changed", "diff", "sha256 of both trees, 2 threads").goal(Goal::Times(1.5)));
}

/// A tree, archives of it, and one of a tree that differs a little.
struct Bench {
    source: PathBuf,
    scratch: PathBuf,
    archives: Archives,
    /// Ids of two archives to compare.
    compared: [String; 2],
    differences: usize,
}

impl Bench {
    fn new(scratch: &Path, files: usize) -> Self {
        let source = scratch.join("source");
        for number in 0..files {
            write(&source, number, "first");
        }
        let archives = Archives::new(&scratch.join("archives"));
        let archive = |session: &str| archives.create(&source, &metadata(session)).expect("there is room").id;
        let before = archive("before");
        let changed: Vec<usize> = (0..files).step_by(100).collect();
        for &number in &changed {
            write(&source, number, "other");
        }
        let compared = [before, archive("after")];
        Self { source, scratch: scratch.to_owned(), compared, differences: changed.len(), archives }
    }

    fn tree(&self, id: &str) -> PathBuf {
        self.archives.root().join(id).join("tree")
    }

    fn copies(&self, samples: &mut Samples) {
        let target = self.scratch.join("copy");
        let [from, to] = [&self.source, &target].map(|path| path.display().to_string());
        samples.take("cp -a --reflink=auto", || peers::run("cp", &["-a", "--reflink=auto", &from, &to], &[0]));
        remove(&target);
        samples.take("two parallel cp -a", || peers::copy_by_two(&self.source.join("src"), &target));
        remove(&target);
        let made = samples.take("archive", || self.archives.create(&self.source, &metadata("round")));
        let id = made.expect("there is room").id;
        let context = RestoreContext { saturated: &|| None, is_live: &|_| false, now: jiff::Timestamp::now() };
        let restored = samples.take("restore", || self.archives.restore(&id, &RestoreRequest::default(), &context));
        remove(Path::new(&restored.expect("there is room").path));
        remove(&self.archives.root().join(id));
    }

    fn differences(&self, samples: &mut Samples) {
        let [a, b] = &self.compared;
        let mut found = 0;
        let summary = samples.take("diff", || {
            self.archives.diff(a, b, |_entry| {
                found += 1;
                ControlFlow::Continue(())
            })
        });
        summary.expect("both archives can be read");
        assert_eq!(found, self.differences);
        let trees = [a, b].map(|id| self.tree(id));
        let [from, to] = trees.each_ref().map(|tree| tree.display().to_string());
        let args = ["diff", "--no-index", "--raw", from.as_str(), to.as_str()];
        samples.take("git diff --no-index --raw", || peers::run("git", &args, &[0, 1]));
        samples.take("sha256 of both trees, 2 threads", || peers::hash([&trees[0], &trees[1]]));
    }
}

/// Twenty files to a directory, about six kilobytes each, of the same size in every version.
fn write(source: &Path, number: usize, version: &str) {
    let directory = source.join(format!("src/m{}/n{}", number / 400, number / 20));
    std::fs::create_dir_all(&directory).expect("the scratch directory is writable");
    let line = format!("let value = compute(&input, \"{version}\", {number});\n");
    let text = line.repeat(60 + number % 160);
    std::fs::write(directory.join(format!("file{number}.rs")), text).expect("the scratch directory is writable");
}

fn metadata(session: &str) -> ArchiveMetadata {
    ArchiveMetadata { session_id: session.to_owned(), ..ArchiveMetadata::default() }
}

fn remove(path: &Path) {
    std::fs::remove_dir_all(path).expect("it was made");
}
