//! `rensei kit detect`.

use super::client;
use crate::args::kit::DetectArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::rows::Rows;
use crate::output::text;
use rensei_kits::{
    Composition, Detection, Kit, MANIFEST_SUFFIX, Probing, Purpose, Registry, RegistryOptions, Target, TrustPolicy,
    shown_root,
};
use rensei_proto::control::KitSettings;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Looks at a directory as the worker of a session would, and changes nothing.
pub(super) async fn run(context: &Context, args: DetectArgs) -> CommandResult<ExitCode> {
    let settings = settings(context, &args).await?;
    let registry = registry(&settings)?;
    let kits = if args.kits.is_empty() { registry.active() } else { given(&args.kits)? };
    let target = Target::host();
    let path = std::fs::canonicalize(&args.path)
        .map_err(|error| CommandError::context(format!("failed to look at `{}`", args.path.display()), error))?;
    let detection = Detection::of(&path, &kits, target).map_err(CommandError::failure)?;
    let probing = Probing { env: context.env.without_ours(), refusal: |kit: &Kit| registry.refuses_to_run(kit) };
    let detection = detection.probe(&probing).await;
    if detection.truncated {
        context.output.warn("the directory is so large that not all of it was looked at");
    }
    let rejected: Vec<(String, String)> =
        detection.rejected.iter().map(|rejected| (rejected.kit.id().to_string(), rejected.reason.clone())).collect();
    let detection = detection.checked().map_err(|error| {
        let hint = error.hint();
        CommandError::failure(error).maybe_hint(hint)
    })?;
    let strict = !registry.trust().admits(rensei_proto::control::KitTrust::Unsigned);
    let purpose = Purpose { target, work_type: args.work_type.as_deref().unwrap_or_default(), unsigned_files: !strict };
    let composed = Composition::of(&detection, purpose).map_err(|error| {
        let hint = error.hint();
        CommandError::failure(error).maybe_hint(hint)
    })?;
    if args.ask.json {
        let rejected: Vec<_> = rejected.iter().map(|(kit, reason)| json!({"kit": kit, "reason": reason})).collect();
        context.output.json(&json!({"composition": composed, "rejected": rejected}))?;
        return Ok(ExitCode::SUCCESS);
    }
    show(context, &composed)?;
    if args.all && !rejected.is_empty() {
        context.output.line("\nNot applied:")?;
        let mut rows = Rows::new();
        for (kit, reason) in &rejected {
            rows.add(&text::clean(kit), text::clean(reason));
        }
        context.output.line(rows)?;
    }
    for warning in &composed.warnings {
        context.output.warn(text::clean(warning));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the daemon has, or without one what a daemon with the default configuration would.
async fn settings(context: &Context, args: &DetectArgs) -> CommandResult<KitSettings> {
    if !args.kits.is_empty() {
        return Ok(KitSettings::default());
    }
    let host = client(context, &args.ask.address)?;
    if let Some(settings) = host.ask_if_running(async |api| api.kit_settings().await).await? {
        return Ok(settings);
    }
    let path = context.state_root()?.join("kits");
    context.output.note(format!("no daemon runs: looking at the kits in {}", path.display()));
    Ok(KitSettings { scan_paths: vec![path.to_string_lossy().into_owned()], ..KitSettings::default() })
}

fn registry(settings: &KitSettings) -> CommandResult<Registry> {
    let trust = TrustPolicy::from_settings(settings).map_err(CommandError::failure)?;
    let scan_paths = settings.scan_paths.iter().map(PathBuf::from).collect();
    Ok(Registry::new(RegistryOptions { scan_paths, trust, ..RegistryOptions::default() }))
}

/// Kits by the paths of their manifests.
fn given(paths: &[PathBuf]) -> CommandResult<Vec<Arc<Kit>>> {
    let mut kits = Vec::new();
    for path in paths {
        for manifest in manifests(path)? {
            let unreadable = |error| CommandError::context(format!("failed to read `{}`", manifest.display()), error);
            let bytes = std::fs::read(&manifest).map_err(unreadable)?;
            kits.push(Arc::new(Kit::read(&manifest, &bytes).map_err(CommandError::failure)?));
        }
    }
    Ok(kits)
}

/// The path itself, or the manifests in the directory and in the directories right below it.
fn manifests(path: &Path) -> CommandResult<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error| CommandError::context(format!("failed to read `{}`", path.display()), error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        if entry.join("kit.toml").is_file() {
            found.push(entry.join("kit.toml"));
        }
        let name = entry.file_name().unwrap_or_default().as_encoded_bytes();
        if entry.is_file() && (name == b"kit.toml" || name.ends_with(MANIFEST_SUFFIX.as_bytes())) {
            found.push(entry);
        }
    }
    if found.is_empty() {
        return Err(CommandError::usage(format!("there is no kit in `{}`", path.display()))
            .hint("a kit is a file that ends in .kit.toml, or kit.toml in a directory of its own"));
    }
    found.sort();
    Ok(found)
}

fn show(context: &Context, composed: &Composition) -> CommandResult {
    let output = &context.output;
    if composed.kits.is_empty() {
        output.line("No kit applies.")?;
        output.hint("see why: `rensei kit detect --all`");
        return Ok(());
    }
    let mut rows = Rows::new();
    for kit in &composed.kits {
        let label = if kit.version.is_empty() { kit.id.clone() } else { format!("{}@{}", kit.id, kit.version) };
        let why = format!("{} ({} %): {}", shown_root(&kit.root), kit.confidence, kit.reasons.join(", "));
        rows.add(&text::clean(&label), text::clean(&why));
    }
    output.line(rows)?;
    let mut rows = Rows::new();
    for tool in &composed.toolchain {
        rows.add("Tool", text::clean(&format!("{} {}", tool.name, tool.version)));
    }
    for command in &composed.commands {
        rows.add(
            "Command",
            text::clean(&format!("{} in {}: {}", command.name, shown_root(&command.root), command.run)),
        );
    }
    rows.add_some("Permissions", Some(text::clean(&composed.allowed_shell.join(", "))));
    rows.add_some("Not allowed", Some(text::clean(&composed.disallowed_shell.join(", "))));
    for text in &composed.prompt {
        rows.add("Prompt", text::clean(&format!("{} of {} ({} bytes)", text.name, text.kit, text.text.len())));
    }
    for skill in &composed.skills {
        rows.add("Skill", text::clean(&format!("{} of {}", skill.id, skill.kit)));
    }
    for (name, server) in &composed.mcp_servers {
        rows.add("MCP server", text::clean(&format!("{name}: {} {}", server.command, server.args.join(" "))));
    }
    for hook in &composed.post_acquire {
        rows.add("Before", text::clean(&format!("{} in {}", hook.run, shown_root(&hook.root))));
    }
    for hook in &composed.pre_release {
        rows.add("After", text::clean(&format!("{} in {}", hook.run, shown_root(&hook.root))));
    }
    for hook in &composed.toolchain_install {
        rows.add("Not run", text::clean(&format!("tool installation of {}: {}", hook.kit, hook.run)));
    }
    output.line("")?;
    output.line(rows)
}
