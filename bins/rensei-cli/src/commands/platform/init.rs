//! `rensei platform init`.

use super::data_dir;
use crate::args::platform::{DEFAULT_LISTEN, InitArgs};
use crate::commands::{Context, absolute_repository, block_on};
use crate::error::{CommandError, CommandResult};
use crate::output::{Tone, text};
use crate::state_root;
use rensei_platform::{InitOptions, InitOutput};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Creates organisation, project and tokens, and shows the tokens.
pub(super) fn run(context: &Context, args: InitArgs) -> CommandResult<ExitCode> {
    let dir = data_dir(context, args.data_dir.clone())?;
    let repository = args.repository.as_deref().map(absolute_repository).transpose()?;
    let options = InitOptions {
        data_dir: dir.clone(),
        org: args.org.clone(),
        project: args.project.clone(),
        repository: repository.clone(),
    };
    let made = block_on(async {
        rensei_platform::init(options).await.map_err(|error| {
            let hint = error.hint();
            CommandError::context(format!("failed to set up the control plane in {}", dir.display()), error)
                .maybe_hint(hint)
        })
    })?;
    if args.json {
        context.output.json(&made)?;
    } else {
        context.output.line(page(context, &args, &dir, repository.as_deref(), &made))?;
        context.output.note("the tokens are shown once and stored as hashes only: keep this page");
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do with the tokens, ready to paste.
fn page(context: &Context, args: &InitArgs, dir: &Path, repository: Option<&str>, made: &InitOutput) -> String {
    let heading = |text: &str| context.output.paint(Tone::Strong, text);
    let url = format!("http://{DEFAULT_LISTEN}");
    let serve = match args.data_dir {
        Some(_) => format!("rensei platform serve --data-dir {}", text::quoted(&dir.to_string_lossy())),
        None => "rensei platform serve".to_owned(),
    };
    let repository = repository.unwrap_or("<repository of the project>");
    let config = daemon_yaml(&url, made.registration_token.expose(), &host_label(), &args.project, repository);
    let mut text = format!("{} {} / {}\n\n", heading("Project"), args.org, args.project);
    text += &format!("{}\n  {serve}\n\n", heading("Start the control plane"));
    let root = state_root::resolve(&context.env).map_or_else(|_| PathBuf::from("~/.rensei"), |root| root.path);
    text += &format!("{} ({})\n", heading("Configure a host"), root.join("daemon.yaml").display());
    text.extend(config.lines().map(|line| format!("  {line}\n")));
    text += &format!("\n{}\n  rensei host run\n\n", heading("Start the host"));
    text += &format!("{}\n  export RENSEI_API_URL={url}\n", heading("Dispatch a session"));
    text += &format!("  export RENSEI_API_TOKEN={}\n", made.api_key.expose());
    text += &format!("  rensei session create --project {} --command 'date >> today.txt' --wait\n\n", args.project);
    text += &format!("{} (for workers without a runtime token)\n", heading("Worker API key"));
    text += &format!("  {}", made.worker_api_key.expose());
    text
}

/// Configuration of a host for one project. JSON strings are YAML strings, so any value can be quoted that way.
pub(crate) fn daemon_yaml(url: &str, token: &str, machine: &str, project: &str, repository: &str) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "apiVersion: rensei.dev/v1\nkind: LocalDaemon\nmachine:\n  id: {}\norchestrator:\n  url: {}\n  authToken: {}\n\
         projects:\n  - id: {}\n    repository: {}\n",
        quote(machine),
        quote(url),
        quote(token),
        quote(project),
        quote(repository),
    )
}

/// This machine's name as a label: lower case, `a-z0-9-` only.
fn host_label() -> String {
    let name = crate::commands::host::run::host_name().to_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let label = words.collect::<Vec<_>>().join("-");
    if label.is_empty() { "local-machine".to_owned() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_never_empty() {
        assert!(!host_label().is_empty());
    }
}
