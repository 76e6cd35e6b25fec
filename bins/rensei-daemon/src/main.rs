//! The host daemon alone: `rensei-daemon` is `rensei host run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rensei_cli::main_daemon()
}
