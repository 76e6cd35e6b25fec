//! `rensei provider`.

use super::host::client::HostClient;
use super::{Context, block_on};
use crate::args::daemon::{AddressArgs, AskArgs};
use crate::args::provider::{ProviderCommand, ShowArgs};
use crate::error::CommandResult;
use crate::output::rows::Rows;
use crate::output::table::{Value, table};
use crate::output::{Output, Tone, text};
use rensei_proto::control::{Provider, ProviderResponse, ProviderStatus};
use std::process::ExitCode;

/// Families in the order in which they are shown.
const FAMILIES: [&str; 8] =
    ["sandbox", "workarea", "agent-runtime", "vcs", "issue-tracker", "deployment", "agent-registry", "kit"];

/// Runs one of the commands.
pub(super) fn run(context: &Context, command: ProviderCommand) -> CommandResult<ExitCode> {
    match command {
        ProviderCommand::List(args) => block_on(list(context, args)),
        ProviderCommand::Show(args) => block_on(show(context, args)),
    }
}

fn client(context: &Context, address: &AddressArgs) -> CommandResult<HostClient> {
    Ok(HostClient::new(context, address)?.missing("see what there is: `rensei provider list`"))
}

async fn list(context: &Context, args: AskArgs) -> CommandResult<ExitCode> {
    let output = &context.output;
    let list = client(context, &args.address)?.ask(async |api| api.providers().await).await?;
    if args.json {
        output.json(&list)?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(page(output, &list.providers))?;
    if let Some(unusable) = list.providers.iter().find(|provider| provider.status_reason.is_some()) {
        output.hint(format!("why: `rensei provider show {}`", text::quoted(&text::clean(&unusable.id))));
    }
    Ok(ExitCode::SUCCESS)
}

fn page(output: &Output, providers: &[Provider]) -> String {
    if providers.is_empty() {
        return "No providers registered.".to_owned();
    }
    let rank = |family: &str| FAMILIES.iter().position(|known| *known == family).unwrap_or(FAMILIES.len());
    let mut families: Vec<&str> = providers.iter().map(|provider| provider.family.as_str()).collect();
    families.sort_by_key(|family| (rank(family), *family));
    families.dedup();
    let sections = families.into_iter().map(|family| {
        let members = providers.iter().filter(|provider| provider.family == family);
        format!("{}\n{}", output.heading(&text::clean(family)), members_table(output, members))
    });
    sections.collect::<Vec<_>>().join("\n\n")
}

fn members_table<'a>(output: &Output, members: impl Iterator<Item = &'a Provider>) -> String {
    let rows = members.map(|provider| -> [Value; 4] {
        [
            text::clean(&provider.name).into(),
            text::clean(&provider.version).into(),
            text::clean(&provider.scope).into(),
            Value::toned(tone(provider.status), provider.status),
        ]
    });
    let table = table(output, ["NAME", "VERSION", "SCOPE", "STATUS"], &["SCOPE"], rows);
    text::indented(&table)
}

const fn tone(status: ProviderStatus) -> Tone {
    match status {
        ProviderStatus::Ready => Tone::Good,
        ProviderStatus::Degraded => Tone::Notice,
        ProviderStatus::Unhealthy => Tone::Bad,
        ProviderStatus::Inactive => Tone::Faint,
    }
}

async fn show(context: &Context, args: ShowArgs) -> CommandResult<ExitCode> {
    let output = &context.output;
    let missing = || format!("provider not found: {}", args.id);
    let host = client(context, &args.ask.address)?;
    let provider = host.ask_about(missing, async |api| api.provider(&args.id).await).await?;
    if args.ask.json {
        output.json(&ProviderResponse { provider })?
    } else {
        output.line(sheet(output, &provider))?
    }
    Ok(ExitCode::SUCCESS)
}

fn sheet(output: &Output, provider: &Provider) -> String {
    let mut rows = Rows::new();
    rows.add("ID", text::clean(&provider.id));
    rows.add("Name", text::clean(&provider.name));
    rows.add("Family", text::clean(&provider.family));
    rows.add("Version", text::clean(&provider.version));
    rows.add("Scope", text::clean(&provider.scope));
    rows.add("Status", output.paint(tone(provider.status), provider.status));
    rows.add_some("Reason", provider.status_reason.as_deref().map(text::clean));
    rows.add("Source", text::clean(&provider.source));
    rows.add("Trust", text::clean(&provider.trust));
    rows.add_some("Signer", provider.signer_id.as_deref().map(text::clean));
    rows.add_some("SignedAt", provider.signed_at.as_deref().map(text::clean));
    let mut page = rows.to_string();
    if !provider.capabilities.is_empty() {
        page.push_str(&format!("\n\n{}", output.heading("Capabilities:")));
    }
    for (name, value) in &provider.capabilities {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        page.push_str(&format!("\n  {}: {}", text::clean(name), text::clean(&shown)));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    fn output() -> Output {
        Output::new(ColorChoice::Never, &Environment::default())
    }

    #[test]
    fn one_section_per_family_in_its_order() {
        let kit = Provider { family: "kit".to_owned(), ..Provider::runtime("go", "0.1") };
        let providers = [kit, Provider::runtime("claude", "1.0").inactive("gone"), Provider::runtime("shell", "1.0")];
        let expected = "agent-runtime\n  NAME    VERSION  SCOPE   STATUS\n  claude  1.0      global  inactive\n  \
            shell   1.0      global  ready\n\nkit\n  NAME  VERSION  SCOPE   STATUS\n  go    0.1      global  ready";
        assert_eq!(page(&output(), &providers), expected);
        assert_eq!(page(&output(), &[]), "No providers registered.");
    }

    #[test]
    fn a_sheet_says_why_and_what_it_can_do() {
        let mut provider = Provider::runtime("amp\u{1b}[2J", "1.0").inactive("no program `amp` in PATH");
        assert!(!sheet(&output(), &provider).contains("Capabilities"), "no heading above nothing");
        provider.capabilities.insert("supportsSessionResume".to_owned(), false.into());
        provider.capabilities.insert("humanLabel".to_owned(), "Amp".into());
        let text = sheet(&output(), &provider);
        assert!(text.contains("Reason:") && text.contains("no program `amp` in PATH"), "{text}");
        assert!(text.contains("\n\nCapabilities:\n  humanLabel: Amp\n") && !text.contains('\u{1b}'), "{text}");
    }
}
