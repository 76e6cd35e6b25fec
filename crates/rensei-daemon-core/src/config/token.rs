//! The registration token: what the file says, what the environment makes of it.

use super::model::TokenSource;
use rensei_proto::Secret;
use std::collections::BTreeMap;

/// Variables that replace the token of the file, strongest first.
const OVERRIDES: [&str; 2] = ["RENSEI_DAEMON_TOKEN", "DONMAI_DAEMON_TOKEN"];

/// `env` for the file of a further organisation: what replaces the token of `daemon.yaml` is not for the control planes
/// of others.
pub(crate) fn without_overrides(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = env.clone();
    env.retain(|name, _| !OVERRIDES.contains(&name.as_str()));
    env
}

/// The token in force.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) value: Option<Secret>,
    pub(super) source: TokenSource,
    /// Variables that the file names and the environment lacks.
    pub(super) unset: Vec<String>,
}

/// The token that `written` and the environment give.
pub(super) fn resolve(written: Option<&Secret>, env: &BTreeMap<String, String>) -> Token {
    if let Some(token) = first_set(env, OVERRIDES) {
        return Token { value: Some(Secret::from(token)), source: TokenSource::Environment, unset: Vec::new() };
    }
    let Some(written) = written.filter(|token| !token.is_empty()) else { return Token::default() };
    let mut unset = Vec::new();
    let value = expand(written.expose(), env, &mut unset);
    let names_variables = !unset.is_empty() || value != written.expose();
    let source = if names_variables { TokenSource::Variables } else { TokenSource::File };
    Token { value: Some(Secret::from(value)), source, unset }
}

/// The first of `names` that has a value.
pub(super) fn first_set<'a>(env: &'a BTreeMap<String, String>, names: [&str; 2]) -> Option<&'a str> {
    names.into_iter().filter_map(|name| env.get(name)).map(String::as_str).find(|value| !value.is_empty())
}

/// Replaces each `${NAME}` whose variable exists; others stay as they are and are added to `unset`.
fn expand(text: &str, env: &BTreeMap<String, String>, unset: &mut Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tail.find('}') else { return out + tail };
        let name = &tail[2..end];
        if let Some(value) = env.get(name) {
            out.push_str(value);
        } else {
            out.push_str(&tail[..=end]);
            unset.push(name.to_owned());
        }
        rest = &tail[end + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(written: &str, env: &[(&str, &str)]) -> (String, TokenSource, Vec<String>) {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let token = resolve(Some(&Secret::from(written)), &env);
        (token.value.map(|value| value.expose().to_owned()).unwrap_or_default(), token.source, token.unset)
    }

    #[test]
    fn config_overrides_are_for_the_main_file_only() {
        let env = [("RENSEI_DAEMON_TOKEN", "main"), ("DONMAI_DAEMON_TOKEN", "main"), ("PARTNER", "theirs")];
        let env = without_overrides(&env.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let of = |written| resolve(Some(&Secret::from(written)), &env).value.unwrap().expose().to_owned();
        assert_eq!(
            (of("${PARTNER}"), of("${RENSEI_DAEMON_TOKEN}")),
            ("theirs".into(), "${RENSEI_DAEMON_TOKEN}".into())
        );
    }

    #[test]
    fn config_token_is_expanded_once_and_the_environment_wins() {
        let none = Vec::<String>::new;
        let cases = [
            ("rsp_live_1", &[][..], ("rsp_live_1", TokenSource::File, none())),
            ("${A}-${B}", &[("A", "1"), ("B", "")], ("1-", TokenSource::Variables, none())),
            // What a variable holds is not expanded again.
            ("${A}", &[("A", "${B}"), ("B", "x")], ("${B}", TokenSource::Variables, none())),
            ("${A}", &[], ("${A}", TokenSource::Variables, vec!["A".to_owned()])),
            ("a${A", &[("A", "1")], ("a${A", TokenSource::File, none())),
            ("", &[], ("", TokenSource::Absent, none())),
            ("f", &[("DONMAI_DAEMON_TOKEN", "d")], ("d", TokenSource::Environment, none())),
            (
                "f",
                &[("DONMAI_DAEMON_TOKEN", "d"), ("RENSEI_DAEMON_TOKEN", "r")],
                ("r", TokenSource::Environment, none()),
            ),
            ("f", &[("RENSEI_DAEMON_TOKEN", "")], ("f", TokenSource::File, none())),
        ];
        for (written, env, (value, source, unset)) in cases {
            assert_eq!(token(written, env), (value.to_owned(), source, unset), "{written} {env:?}");
        }
    }
}
