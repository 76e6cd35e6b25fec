//! `rensei kit`.

mod detect;
mod sheet;

use super::host::client::HostClient;
use super::{Context, block_on};
use crate::args::daemon::AddressArgs;
use crate::args::kit::{InstallArgs, KitArgs, KitCommand, ListArgs, SourceArgs, SourcesCommand, TrustOverride};
use crate::error::CommandResult;
use crate::output::rows::Rows;
use crate::output::table::{Value, table};
use crate::output::{Output, Tone, text};
use rensei_proto::control::{
    KitEnvelope, KitInstallRequest, KitInstallSource, KitList, KitSignature, KitSource, KitStatus, KitTrust,
};
use std::process::ExitCode;

/// Runs one of the commands.
pub(super) fn run(context: &Context, command: KitCommand) -> CommandResult<ExitCode> {
    match command {
        KitCommand::List(args) => block_on(list(context, args)),
        KitCommand::Show(args) => block_on(show(context, args)),
        KitCommand::Detect(args) => block_on(detect::run(context, args)),
        KitCommand::Verify(args) => block_on(verify(context, args)),
        KitCommand::Install(args) => block_on(install(context, args)),
        KitCommand::Enable(args) => block_on(switch(context, args, true)),
        KitCommand::Disable(args) => block_on(switch(context, args, false)),
        KitCommand::Sources(SourcesCommand::List(args)) => block_on(sources(context, args)),
        KitCommand::Sources(SourcesCommand::Enable(args)) => block_on(switch_source(context, args, true)),
        KitCommand::Sources(SourcesCommand::Disable(args)) => block_on(switch_source(context, args, false)),
    }
}

fn client(context: &Context, address: &AddressArgs) -> CommandResult<HostClient> {
    Ok(HostClient::new(context, address)?.missing("kits of this host: `rensei kit list`"))
}

fn not_found(id: &str) -> String {
    format!("kit not found: {id}")
}

async fn list(context: &Context, args: ListArgs) -> CommandResult<ExitCode> {
    let output = &context.output.plain(args.form.plain);
    let list = client(context, &args.address)?.ask(async |api| api.kits().await).await?;
    if args.form.json {
        output.json(&list)?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(page(output, &list))?;
    for problem in &list.problems {
        output.warn(text::clean(problem));
    }
    for kit in list.kits.iter().filter(|kit| !kit.shadows.is_empty()) {
        output.warn(format!(
            "{}: {} is used, not {}",
            kit.id,
            text::clean(&kit.path),
            text::clean(&kit.shadows.join(", "))
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn page(output: &Output, list: &KitList) -> String {
    if list.kits.is_empty() {
        return "No kits installed.".to_owned();
    }
    let rows = list.kits.iter().map(|kit| -> [Value; 5] {
        [
            text::clean(&kit.id).into(),
            text::clean(&kit.version).into(),
            text::clean(&kit.scope).into(),
            Value::toned(status_tone(kit.status), kit.status.as_str()),
            text::clean(&kit.source).into(),
        ]
    });
    let table = table(output, ["ID", "VERSION", "SCOPE", "STATUS", "SOURCE"], &["SCOPE", "SOURCE"], rows);
    text::indented(&table)
}

const fn status_tone(status: KitStatus) -> Tone {
    match status {
        KitStatus::Active => Tone::Good,
        KitStatus::Disabled => Tone::Faint,
        KitStatus::Error => Tone::Bad,
    }
}

/// What is known of who made a kit, in a word for people.
const fn badge(trust: KitTrust) -> &'static str {
    match trust {
        KitTrust::SignedVerified => "[verified]",
        KitTrust::SignedUnverified => "[signed/unverified]",
        KitTrust::Unsigned => "[unsigned]",
    }
}

const fn trust_tone(trust: KitTrust) -> Tone {
    match trust {
        KitTrust::SignedVerified => Tone::Good,
        KitTrust::SignedUnverified => Tone::Bad,
        KitTrust::Unsigned => Tone::Notice,
    }
}

async fn show(context: &Context, args: KitArgs) -> CommandResult<ExitCode> {
    let output = &context.output.plain(args.form.plain);
    let host = client(context, &args.address)?;
    let kit = host.ask_about(|| not_found(&args.id), async |api| api.kit(&args.id).await).await?;
    if args.form.json {
        output.json(&KitEnvelope { kit })?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(sheet::sheet(output, &kit))?;
    for warning in &kit.summary.warnings {
        output.warn(text::clean(warning));
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(context: &Context, args: KitArgs) -> CommandResult<ExitCode> {
    let output = &context.output.plain(args.form.plain);
    let host = client(context, &args.address)?;
    let signature = host.ask_about(|| not_found(&args.id), async |api| api.verify_kit(&args.id).await).await?;
    if args.form.json {
        output.json(&signature)?;
    } else {
        output.line(signature_sheet(output, &signature))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn signature_sheet(output: &Output, signature: &KitSignature) -> Rows {
    let mut rows = Rows::new();
    rows.add("Kit", text::clean(&signature.kit_id));
    rows.add("Trust", output.paint(trust_tone(signature.trust), badge(signature.trust)));
    rows.add_some("Signer", Some(text::clean(&signature.signer_id)));
    rows.add_some("Signed", Some(text::clean(&signature.signed_at)));
    rows.add_some("Details", Some(text::clean(&signature.details)));
    rows
}

async fn install(context: &Context, args: InstallArgs) -> CommandResult<ExitCode> {
    let output = &context.output.plain(args.form.plain);
    let trust_override = args.trust_override.map(|TrustOverride::AllowedThisOnce| "allowed-this-once".to_owned());
    let request = KitInstallRequest {
        version: args.kit_version.unwrap_or_default(),
        source: Some(KitInstallSource {
            kind: "git".to_owned(),
            url: super::absolute_repository(&args.git)?,
            r#ref: args.reference.unwrap_or_default(),
            manifest_path: args.manifest_path.unwrap_or_default(),
        }),
        trust_override: trust_override.unwrap_or_default(),
    };
    let result = client(context, &args.address)?.ask(async |api| api.install_kit(&args.id, &request).await).await?;
    for warning in &result.warnings {
        output.warn(text::clean(warning));
    }
    if args.form.json {
        output.json(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    let installed = format!("kit {}@{} installed", result.kit.id, result.kit.version);
    let message = if result.message.is_empty() { installed } else { result.message };
    output.line(format!("{} {}", output.mark(), text::clean(&message)))?;
    let mut rows = Rows::new();
    rows.add("Source", text::clean(&result.kit.source));
    rows.add("Status", output.paint(status_tone(result.kit.status), result.kit.status.as_str()));
    output.line(rows)?;
    Ok(ExitCode::SUCCESS)
}

async fn switch(context: &Context, args: KitArgs, enabled: bool) -> CommandResult<ExitCode> {
    let output = &context.output.plain(args.form.plain);
    let host = client(context, &args.address)?;
    let kit = host.ask_about(|| not_found(&args.id), async |api| api.set_kit_enabled(&args.id, enabled).await).await?;
    if args.form.json {
        output.json(&kit)?;
    } else {
        let word = if enabled { "enabled" } else { "disabled" };
        output.line(format!("{} kit {} {word}", output.mark(), text::clean(&kit.id)))?;
        let mut rows = Rows::new();
        rows.add("Status", output.paint(status_tone(kit.status), kit.status.as_str()));
        output.line(rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn sources(context: &Context, args: ListArgs) -> CommandResult<ExitCode> {
    let output = &context.output.plain(args.form.plain);
    let list = client(context, &args.address)?.ask(async |api| api.kit_sources().await).await?;
    if args.form.json {
        output.json(&list)?;
    } else {
        output.line(sources_page(output, &list.sources))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sources_page(output: &Output, sources: &[KitSource]) -> String {
    let rows = sources.iter().map(|source| -> [Value; 4] {
        let (tone, word) = if source.enabled { (Tone::Good, "enabled") } else { (Tone::Faint, "disabled") };
        [
            text::clean(&source.name).into(),
            text::clean(&source.kind).into(),
            Value::toned(tone, word),
            text::clean(&source.url).into(),
        ]
    });
    let table = table(output, ["NAME", "KIND", "STATUS", "URL"], &["URL"], rows);
    text::indented(&table)
}

async fn switch_source(context: &Context, args: SourceArgs, enabled: bool) -> CommandResult<ExitCode> {
    let host = HostClient::new(context, &args.address)?.missing("sources of this host: `rensei kit sources list`");
    let missing = || format!("kit source not found: {}", args.name);
    let toggled = host.ask_about(missing, async |api| api.set_kit_source_enabled(&args.name, enabled).await).await?;
    let output = context.output.plain(args.form.plain);
    if args.form.json {
        output.json(&toggled)?;
    } else {
        output.line(format!("{} {}", output.mark(), text::clean(&toggled.message)))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;
    use rensei_proto::control::KitSummary;

    fn output() -> Output {
        Output::new(ColorChoice::Never, &Environment::default())
    }

    #[test]
    fn lists_and_their_empty_form() {
        let kit = KitSummary {
            id: "rensei/rust\u{1b}[2J".to_owned(),
            version: "1.0.0".to_owned(),
            scope: "project".to_owned(),
            source: "local".to_owned(),
            ..KitSummary::default()
        };
        let page = page(&output(), &KitList { kits: vec![kit], problems: vec![] });
        let lines: Vec<&str> = page.lines().collect();
        assert!(
            lines[0] == "  ID           VERSION  SCOPE    STATUS  SOURCE"
                && lines[1].ends_with("project  active  local"),
            "{page}"
        );
        assert!(!page.contains('\u{1b}'));
        assert_eq!(super::page(&output(), &KitList::default()), "No kits installed.");
    }

    #[test]
    fn signatures_have_a_badge() {
        for (trust, badge) in [
            (KitTrust::SignedVerified, "[verified]"),
            (KitTrust::SignedUnverified, "[signed/unverified]"),
            (KitTrust::Unsigned, "[unsigned]"),
        ] {
            let signature = KitSignature { kit_id: "a".to_owned(), trust, ..KitSignature::default() };
            assert!(signature_sheet(&output(), &signature).to_string().contains(badge));
        }
    }
}
