//! `rensei host set` and `rensei capacity set`.

use super::client::HostClient;
use crate::args::host::SetArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::table::table;
use crate::output::text;
use rensei_daemon_core::config::{Applies, ConfigFile, Edit, EditError, KEYS, Key, Scalar};
use rensei_proto::control::CapacityChange;
use std::path::Path;
use std::process::ExitCode;

/// Keys that a running daemon is told over the API, so that they are in force when the command ends.
const CAPACITY: [&str; 2] = ["capacity.maxConcurrentSessions", "capacity.poolMaxDiskGb"];
/// What is shown of a secret.
const HIDDEN: &str = "***";

/// Sets one key of the configuration: in the file first, so that it also holds after the next start, then in the daemon.
pub(in crate::commands) async fn run(context: &Context, args: SetArgs) -> CommandResult<ExitCode> {
    let (Some(key), Some(value)) = (&args.key, &args.value) else { return list(context, &args) };
    let known = find(key)?;
    let path = match args.config.clone() {
        Some(path) => context.expand(path),
        None => context.state_root()?.join("daemon.yaml"),
    };
    write(context, &path, key, &scalar(known, value)?)?;
    let message = if CAPACITY.contains(&known.path) {
        in_daemon(context, &args, key, value).await?
    } else {
        outlook(known).to_owned()
    };
    let value = if known.path == "orchestrator.authToken" { HIDDEN } else { value };
    if args.ask.json {
        let change = CapacityChange { ok: true, key: key.clone(), value: value.to_owned(), message };
        context.output.json(&change)?;
    } else {
        let (mark, message) = (context.output.mark(), text::clean(&message).into_owned());
        let shown = path.display();
        context.output.line(format_args!("{mark} {key} = {} in {shown}; {message}", text::clean(value)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys that can be set.
fn list(context: &Context, args: &SetArgs) -> CommandResult<ExitCode> {
    if !args.list {
        return Err(CommandError::usage("which key, and to what?").hint("see the keys: `rensei host set --list`"));
    }
    let row = |key: &Key| {
        let default = key.default.replace('`', "");
        [key.path.into(), default.into(), effect(key).into(), key.kind.replace('`', "").into()]
    };
    let headings = ["KEY", "DEFAULT", "TAKES EFFECT", "VALUE"];
    let text = table(&context.output, headings, &["VALUE", "DEFAULT"], KEYS.iter().map(row));
    context.output.line(text)?;
    Ok(ExitCode::SUCCESS)
}

fn effect(key: &Key) -> &'static str {
    match key.applies {
        Applies::AtOnce => "at once",
        Applies::Restart => "restart",
        Applies::Nothing => "never",
    }
}

fn outlook(key: &Key) -> &'static str {
    match key.applies {
        Applies::AtOnce => "a running daemon takes it at once",
        Applies::Restart => "it takes effect with the next start of the daemon",
        Applies::Nothing => "it is kept, and changes nothing on this host",
    }
}

/// The entry of the reference for a key, whatever list entries it names.
fn find(key: &str) -> CommandResult<&'static Key> {
    let pattern = regex_lite::Regex::new(r"\[\d+\]").expect("the pattern is well-formed").replace_all(key, "[]");
    KEYS.iter().find(|known| known.path == pattern).ok_or_else(|| {
        CommandError::usage(format!("there is no key `{key}`")).hint("see the keys: `rensei host set --list`")
    })
}

fn scalar(key: &Key, value: &str) -> CommandResult<Scalar> {
    if !key.kind.starts_with("number") {
        return Ok(Scalar::Text(value.to_owned()));
    }
    value.parse().map(Scalar::Number).map_err(|_not_a_number| {
        CommandError::usage(format!("`{}` needs a whole number that is not negative, not `{value}`", key.path))
            .hint(format!("such as `rensei host set {} 4`", key.path))
    })
}

fn write(context: &Context, path: &Path, key: &str, value: &Scalar) -> CommandResult {
    let edit = Edit::Set { key: key.to_owned(), value: value.clone() };
    let written = ConfigFile::update(path, &context.env.strings(), &[edit]);
    written.map(drop).map_err(|error: EditError| {
        let hint = error.hint();
        CommandError::context(format!("`{key}` was not set"), error).hint(hint)
    })
}

/// Has a running daemon take the value; the answer is what to say about it. The file is written either way.
async fn in_daemon(context: &Context, args: &SetArgs, key: &str, value: &str) -> CommandResult<String> {
    let client = HostClient::new(context, &args.ask.address)?;
    match client.ask_if_running(async |api| api.set_capacity(key, value).await).await {
        Ok(Some(change)) if change.ok => Ok(change.message),
        Ok(Some(change)) => {
            let why = text::clean(&change.message).into_owned();
            Err(CommandError::failure(format!("`{key}` is written, but the daemon did not take it: {why}"))
                .hint("it takes effect with the next start; see the daemon: `rensei host status`"))
        }
        Ok(None) => Ok(format!("no daemon answers at {}: it takes effect with the next start", client.url())),
        Err(error) => {
            Err(CommandError::context(format!("`{key}` is written, but the daemon did not take it"), error.to_string())
                .hint("it takes effect with the next start; see the daemon: `rensei host status`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_reference() {
        assert_eq!(find("capacity.maxConcurrentSessions").unwrap().path, CAPACITY[0]);
        assert_eq!(find("projects[3].git.sshKey").unwrap().path, "projects[].git.sshKey");
        assert!(find("capacity").unwrap_err().hints()[0].contains("--list"));
        for key in CAPACITY {
            assert!(find(key).unwrap().kind.starts_with("number"));
        }
    }

    #[test]
    fn values_are_numbers_or_text() {
        let key = find("capacity.poolMaxDiskGb").unwrap();
        assert_eq!(scalar(key, "0").unwrap(), Scalar::Number(0));
        for bad in ["-1", "many", "1.5", ""] {
            assert!(scalar(key, bad).is_err(), "{bad}");
        }
        assert_eq!(scalar(find("machine.id").unwrap(), "7").unwrap(), Scalar::Text("7".to_owned()));
    }
}
