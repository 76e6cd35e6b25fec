//! The matcher against a reference that never parses: each spelling is made from what it means.

use super::*;
use crate::config::GitHints;
use proptest::prelude::*;
use proptest::sample::select;

/// A way to write down `path` at `host`.
#[derive(Debug, Clone)]
enum Form {
    Url { scheme: &'static str, user: &'static str, port: &'static str },
    Scp { user: &'static str, slash: &'static str },
    WithHost,
    Slug,
    Leaf,
    LocalPath,
    FileUrl,
}

#[derive(Debug, Clone)]
struct Spelling {
    form: Form,
    host: &'static str,
    owner: &'static str,
    name: &'static str,
    /// `.git` or nothing, and slashes.
    end: String,
}

impl Spelling {
    fn text(&self) -> String {
        let Self { form, host, owner, name, end } = self;
        match form {
            Form::Url { scheme, user, port } => format!("{scheme}://{user}{host}{port}/{owner}/{name}{end}"),
            Form::Scp { user, slash } => format!("{user}{host}:{slash}{owner}/{name}{end}"),
            Form::WithHost => format!("{host}/{owner}/{name}{end}"),
            Form::Slug => format!("{owner}/{name}{end}"),
            Form::Leaf => format!("{name}{end}"),
            Form::LocalPath => format!("/{owner}/{name}{end}"),
            Form::FileUrl => format!("file:///{owner}/{name}{end}"),
        }
    }

    /// Host in lower case, owner and name; no host for what is on this machine, no owner for a name alone.
    fn meaning(&self) -> (Option<String>, Option<&str>, &str) {
        let (owner, host) = (Some(self.owner), self.host.to_lowercase());
        match self.form {
            Form::Url { .. } | Form::Scp { .. } | Form::WithHost => (Some(host), owner, self.name),
            Form::Slug => (Some("github.com".to_owned()), owner, self.name),
            Form::LocalPath | Form::FileUrl => (None, owner, self.name),
            Form::Leaf => (None, None, self.name),
        }
    }
}

fn spelling() -> impl Strategy<Value = Spelling> {
    // A user that looks like a host is none.
    let user = || select(vec!["", "git@", "github.com@", "x:y@"]);
    let form = prop_oneof![
        3 => (select(vec!["https", "ssh", "git", "http"]), user(), select(vec!["", ":22", ":8443"]))
            .prop_map(|(scheme, user, port)| Form::Url { scheme, user, port }),
        2 => (select(vec!["", "git@"]), select(vec!["", "/"])).prop_map(|(user, slash)| Form::Scp { user, slash }),
        2 => Just(Form::WithHost),
        2 => Just(Form::Slug),
        1 => Just(Form::Leaf),
        1 => Just(Form::LocalPath),
        1 => Just(Form::FileUrl),
    ];
    let host = select(vec!["github.com", "GitHub.com", "evil.example", "git.evil.example"]);
    let (owner, name) = (select(vec!["foo", "Foo", "oo"]), select(vec!["bar", "barn", "Bar"]));
    let end = (select(vec!["", ".git"]), select(vec!["", "", "/", "//"]));
    let end = end.prop_map(|(git, slashes)| format!("{git}{slashes}"));
    (form, host, owner, name, end).prop_map(|(form, host, owner, name, end)| Spelling { form, host, owner, name, end })
}

/// An entry: its id and repository; none is an entry without one.
fn entry() -> impl Strategy<Value = (&'static str, Option<Spelling>)> {
    (select(vec!["alpha", "bar", "foo/bar", "github.com/foo/bar"]), prop::option::weighted(0.95, spelling()))
}

#[derive(Debug, Clone)]
enum Request {
    Spelled(Spelling),
    /// An id, or what is nearly a repository.
    Text(&'static str),
}

fn request() -> impl Strategy<Value = Request> {
    let text = vec!["", "/", ".git", "alpha", "alph", "github.com", "//", ":", "@", "://", "https://"];
    prop_oneof![4 => spelling().prop_map(Request::Spelled), 1 => select(text).prop_map(Request::Text)]
}

/// The rules, in the words of the manual.
fn may(id: &str, configured: &Spelling, request: &Request) -> bool {
    let repository = configured.text();
    let (value, means_the_same) = match request {
        Request::Spelled(spelled) => (spelled.text(), spelled.meaning() == configured.meaning()),
        Request::Text(text) => ((*text).to_owned(), false),
    };
    let is_the_id = value == id;
    let is_the_repository = value == repository;
    let ends_in_the_repository = value.ends_with(&format!("/{repository}"));
    let is_the_end_of_the_repository = repository.ends_with(&format!("/{value}"));
    let any =
        is_the_id || is_the_repository || ends_in_the_repository || is_the_end_of_the_repository || means_the_same;
    any && !value.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7734), ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn the_first_entry_that_a_request_means_is_what_is_cloned(
        entries in prop::collection::vec(entry(), 0..5),
        request in request(),
    ) {
        let projects = entries.iter().enumerate().map(|(nth, (id, repository))| Project {
            id: (*id).to_owned(),
            repository: repository.as_ref().map(Spelling::text).unwrap_or_default(),
            // Tells entries apart that are spelled alike.
            git: GitHints { credential_helper: Some(format!("entry {nth}")), ..GitHints::default() },
            ..Project::default()
        });
        let list = Allowlist::new(projects.collect());
        let value = match &request {
            Request::Spelled(spelled) => spelled.text(),
            Request::Text(text) => (*text).to_owned(),
        };
        let expected = entries.iter().position(|(id, repository)| {
            repository.as_ref().is_some_and(|repository| may(id, repository, &request))
        });
        let expected = expected.map(|nth| list.projects()[nth].clone());
        // As configured, to the byte: nothing of a request gets into what is cloned.
        prop_assert_eq!(list.find(&value), expected, "{} in {:?}", value, list.projects());
    }
}
