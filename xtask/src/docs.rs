//! `cargo xtask docs`: documentation that cannot rot.
//!
//! Commands that any document names are looked up in the program's own help, and the README's tour is run as printed,
//! in a home directory of its own.

mod commands;
mod tour;

use crate::task::{Finding, TaskError, verdict};
use crate::{markdown, metadata, shell};
use std::path::PathBuf;

/// Arguments of the task.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Checks that commands exist, but does not run the tour.
    #[arg(long)]
    no_tour: bool,
}

/// Checks the documents against the built programs.
pub(crate) fn run(args: &Args) -> Result<(), TaskError> {
    shell::run(shell::command(&["cargo", "build", "--quiet", "--workspace", "--all-features", "--bins"]))?;
    let programs = metadata::load()?.target_directory.join("debug");
    verdict(check_commands(&programs)?)?;
    if args.no_tour {
        return Ok(());
    }
    let readme = markdown::parse(&shell::read(&shell::root().join("README.md"))?);
    tour::run(&tour::script(&readme.blocks), &programs)
}

fn check_commands(programs: &std::path::Path) -> Result<Vec<Finding>, TaskError> {
    let mut help = commands::Help::new(programs.to_owned());
    let mut findings = Vec::new();
    let mut count = 0;
    for path in shell::files()?.into_iter().filter(|path: &PathBuf| path.extension().is_some_and(|e| e == "md")) {
        let document = markdown::parse(&shell::read(&shell::root().join(&path))?);
        for (line, call) in commands::calls(&document) {
            count += 1;
            let problem = help.problem(&call);
            findings.extend(problem.map(|problem| Finding::new(format!("{}:{line}", path.display()), problem)));
        }
    }
    println!("docs: {count} documented commands looked up");
    Ok(findings)
}
