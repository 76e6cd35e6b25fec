//! Which of the tokens that came with work is for its repository.

use rensei_proto::Secret;
use rensei_proto::platform::GitCredential;

/// Longest token that is taken, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// The token that a control plane sent for `repository`, if it is good at `now`.
///
/// A token goes to the very place that it was made for: same scheme, host, port and path, and over https only, unless the
/// place is this machine. A configured repository is never replaced by the URL of a token.
pub(super) fn token_for(credentials: &[GitCredential], repository: &str, now: jiff::Timestamp) -> Option<Secret> {
    let place = place(repository)?;
    let usable = |credential: &&GitCredential| {
        let over = credential.expires_at.parse::<jiff::Timestamp>().is_ok_and(|end| end <= now);
        !over && is_token(credential.token.expose()) && self::place(&credential.clone_url).as_ref() == Some(&place)
    };
    credentials.iter().find(usable).map(|credential| credential.token.clone())
}

/// What can be one line of what git is told.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOKEN && !text.chars().any(char::is_control)
}

/// Scheme, host with port, and path of an address that tokens may be sent to.
fn place(url: &str) -> Option<(String, String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host).to_ascii_lowercase();
    let scheme = scheme.to_ascii_lowercase();
    let is_safe = scheme == "https" || (scheme == "http" && is_this_machine(&host));
    let path = path.trim_end_matches('/');
    is_safe.then(|| (scheme, host, path.strip_suffix(".git").unwrap_or(path)))
}

fn is_this_machine(host: &str) -> bool {
    let bare =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(h, _)| h);
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_the_place_that_it_was_made_for_and_nowhere_else() {
        let credential = |clone_url: &str| GitCredential {
            token: Secret::from("t"),
            clone_url: clone_url.to_owned(),
            expires_at: String::new(),
        };
        let cases = [
            ("https://git.example/a/b.git", "https://git.example/a/b.git", true),
            ("https://git.example/a/b", "https://x-access-token@Git.Example/a/b.git/", true),
            ("https://user@git.example/a/b", "https://git.example/a/b", true),
            ("https://git.example:8443/a/b", "https://git.example:8443/a/b", true),
            ("http://127.0.0.1:80/a/b", "http://127.0.0.1:80/a/b", true),
            ("http://[::1]:80/a/b", "http://[::1]:80/a/b", true),
            ("http://localhost/a/b", "http://localhost/a/b", true),
            ("https://git.example/a/b", "https://git.example/a/c", false),
            ("https://git.example/a/B", "https://git.example/a/b", false),
            ("https://git.example/a/b", "https://evil.example/a/b", false),
            ("https://git.example:8443/a/b", "https://git.example/a/b", false),
            ("http://git.example/a/b", "https://git.example/a/b", false),
            ("http://git.example/a/b", "http://git.example/a/b", false),
            ("http://127.0.0.1.evil.example/a/b", "http://127.0.0.1.evil.example/a/b", false),
            ("git@git.example:a/b.git", "https://git.example/a/b", false),
            ("ssh://git.example/a/b", "ssh://git.example/a/b", false),
            ("/srv/git/a", "/srv/git/a", false),
            ("", "", false),
        ];
        let now = jiff::Timestamp::now();
        for (repository, clone_url, expected) in cases {
            let found = token_for(&[credential(clone_url)], repository, now).is_some();
            assert_eq!(found, expected, "{repository} <- {clone_url}");
        }
    }

    #[test]
    fn what_is_over_or_no_token_is_left() {
        let credential = |token: &str, expires_at: &str| GitCredential {
            token: Secret::from(token),
            clone_url: "https://h/a".to_owned(),
            expires_at: expires_at.to_owned(),
        };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for (token, expires_at, expected) in [
            ("t", "2026-01-01T00:00:01Z", true),
            ("t", "soon", true),
            ("t", "2026-01-01T00:00:00Z", false),
            ("", "", false),
            ("a\nhost=evil.example", "", false),
            ("a\0b", "", false),
            (&"x".repeat(MAX_TOKEN + 1), "", false),
        ] {
            let found = token_for(&[credential(token, expires_at)], "https://h/a", now).is_some();
            assert_eq!(found, expected, "{token:.9} {expires_at}");
        }
        let two = [credential("", ""), credential("second", "")];
        assert_eq!(token_for(&two, "https://h/a", now).unwrap().expose(), "second");
    }
}
