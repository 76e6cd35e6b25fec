//! From flags to what a session is to do.

use crate::args::session::WorkArgs;
use crate::error::{CommandError, CommandResult};
use rensei_proto::ResolvedProfile;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;

/// Largest prompt, in bytes.
const MAX_PROMPT: u64 = 1024 * 1024;
/// Runtime that runs `--command`.
const SHELL: &str = "shell";

/// The prompt, from the command line, a file or stdin.
pub(super) fn prompt(work: &WorkArgs) -> CommandResult<Option<String>> {
    match (&work.prompt, &work.prompt_file) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) if path == Path::new("-") => read_bounded(std::io::stdin().lock(), path).map(Some),
        (None, Some(path)) => {
            let file = std::fs::File::open(path).map_err(|error| unreadable(path, error))?;
            read_bounded(file, path).map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn read_bounded(reader: impl Read, path: &Path) -> CommandResult<String> {
    let mut text = String::new();
    reader.take(MAX_PROMPT + 1).read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
    if text.len() as u64 > MAX_PROMPT {
        return Err(CommandError::usage(format!("the prompt in {} is larger than 1 MiB", path.display())));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: std::io::Error) -> CommandError {
    CommandError::context(format!("failed to read the prompt from {}", path.display()), error)
}

/// The agent runtime; `None` leaves the choice to whoever runs the session.
pub(super) fn profile(work: &WorkArgs) -> Option<ResolvedProfile> {
    if work.runtime.is_none() && work.command.is_none() {
        return None;
    }
    let config = work.command.iter().map(|command| ("command".to_owned(), Value::from(command.as_str())));
    Some(ResolvedProfile {
        provider: work.runtime.clone().unwrap_or_else(|| SHELL.to_owned()),
        provider_config: config.collect::<Map<_, _>>(),
        ..ResolvedProfile::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_means_the_shell_runtime() {
        let work = WorkArgs { command: Some("make".to_owned()), ..WorkArgs::default() };
        let chosen = profile(&work).unwrap();
        assert_eq!((chosen.provider.as_str(), &chosen.provider_config["command"]), ("shell", &Value::from("make")));
        assert!(profile(&WorkArgs::default()).is_none());
    }

    #[test]
    fn prompts_are_bounded() {
        let path = Path::new("-");
        assert_eq!(read_bounded("do it".as_bytes(), path).unwrap(), "do it");
        assert!(read_bounded(std::io::repeat(b'x'), path).unwrap_err().to_string().contains("1 MiB"));
        assert!(read_bounded(&[0xff_u8][..], path).is_err());
    }
}
