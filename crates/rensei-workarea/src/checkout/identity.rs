//! Who commits.

use crate::git::GitEnvironment;
use git2::{Config, Signature};

const DEFAULT_NAME: &str = "Rensei Agent";
const DEFAULT_EMAIL: &str = "agent@rensei.invalid";

/// Name and address of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// Author and committer of a commit: what was asked for, else what git would take from the environment and the
/// configuration, else the agent.
pub(crate) fn signatures(
    asked: Option<&Author>,
    git: &GitEnvironment,
    config: &Config,
) -> Result<(Signature<'static>, Signature<'static>), git2::Error> {
    let configured = |role: &str| {
        let name = git.text(&format!("GIT_{role}_NAME")).or_else(|| config.get_string("user.name").ok());
        let email = git.text(&format!("GIT_{role}_EMAIL")).or_else(|| config.get_string("user.email").ok());
        // Half an identity is as good as none.
        Some((clean(&name?)?, clean(&email?)?))
    };
    let asked = asked.and_then(|author| Some((clean(&author.name)?, clean(&author.email)?)));
    let agent = || (DEFAULT_NAME.to_owned(), DEFAULT_EMAIL.to_owned());
    let committer = configured("COMMITTER").or_else(|| asked.clone()).unwrap_or_else(agent);
    let author = asked.or_else(|| configured("AUTHOR")).unwrap_or_else(agent);
    Ok((Signature::now(&author.0, &author.1)?, Signature::now(&committer.0, &committer.1)?))
}

/// Without what the commit format has no room for; none if nothing is left.
fn clean(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(200).collect();
    Some(kept.trim().to_owned()).filter(|text| text.chars().any(char::is_alphanumeric))
}
