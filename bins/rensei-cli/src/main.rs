//! The `rensei` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rensei_cli::main_rensei()
}
