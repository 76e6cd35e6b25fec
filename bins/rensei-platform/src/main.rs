//! The control plane alone: `rensei-platform init` and `rensei-platform serve`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rensei_cli::main_platform()
}
