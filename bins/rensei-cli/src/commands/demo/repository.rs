//! The repository that a demo's session works on.

use crate::args::demo::DemoArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::text;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The repository that the demo makes: one commit, as `git fast-import` reads it.
const HISTORY: &str = "blob\nmark :1\ndata <<END\n# Demo\n\nA small repository for one session.\nEND\n\n\
    commit refs/heads/main\nmark :2\ncommitter Rensei demo <demo@localhost> 1767225600 +0000\n\
    data <<END\nFirst commit\nEND\nM 100644 :1 README.md\n\n";

/// The repository that a demo's session works on.
#[derive(Debug)]
pub(super) enum Repository {
    /// Made for the demo; bare, in its directory.
    Made(PathBuf),
    /// Somebody's, on this machine.
    Local {
        /// Path of the working tree's top, or of the repository itself when it is bare.
        url: String,
        /// Starting point.
        r#ref: Option<String>,
    },
    /// Somebody's, elsewhere.
    Remote {
        /// URL.
        url: String,
        /// Starting point.
        r#ref: Option<String>,
    },
}

impl Repository {
    /// Makes the repository in `dir`, or checks the one that was given.
    pub(super) async fn prepare(context: &Context, args: &DemoArgs, dir: &Path) -> CommandResult<Self> {
        let Some(given) = &args.repo else { return make(context, args, dir.join("demo.git")).await };
        let path = context.expand(PathBuf::from(given));
        if path.is_dir() {
            return check(context, &path, args.r#ref.clone()).await;
        }
        if is_url(given) {
            return Ok(Self::Remote { url: given.clone(), r#ref: args.r#ref.clone() });
        }
        Err(CommandError::failure(format!("there is no directory `{given}`, and it is no URL"))
            .hint("name a git repository: `rensei demo --repo <path or url>`, or none: `rensei demo`"))
    }

    /// How hosts reach it.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Made(path) => path.to_str().unwrap_or_default(),
            Self::Local { url, .. } | Self::Remote { url, .. } => url,
        }
    }

    /// Where the session starts.
    pub(super) fn r#ref(&self) -> Option<&str> {
        match self {
            Self::Made(_) => Some("main"),
            Self::Local { r#ref, .. } | Self::Remote { r#ref, .. } => r#ref.as_deref(),
        }
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Made(_) => "a small one, made for this demo".to_owned(),
            Self::Local { url, .. } | Self::Remote { url, .. } => text::place(url).into_owned(),
        }
    }

    /// Commands that show the pushed branch, for a repository that outlives the demo.
    pub(super) fn how_to_look(&self, branch: &str) -> Vec<String> {
        let branch = text::quoted(branch);
        match self {
            Self::Made(path) => vec![format!("git -C {} show {branch}", text::quoted(&path.to_string_lossy()))],
            Self::Local { url, .. } => {
                let git = format!("git -C {}", text::quoted(url));
                vec![format!("{git} show {branch}"), format!("{git} branch -D {branch}    # when you have seen it")]
            }
            Self::Remote { url, .. } => {
                vec![format!("git fetch {} {branch} && git show FETCH_HEAD", text::quoted(url))]
            }
        }
    }

    /// The change of `commit` as a patch; for the repository that is about to be removed.
    pub(super) async fn patch(&self, context: &Context, commit: &str) -> Option<String> {
        let Self::Made(path) = self else { return None };
        let colour = if context.output.out_is_coloured() { "--color=always" } else { "--color=never" };
        let shown = git(context, path, &["show", "--format=", colour, "--end-of-options", commit], None).await.ok()?;
        let patch = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
        (shown.status.success() && !patch.is_empty()).then_some(patch)
    }
}

/// `scheme://…`, or `host:path` as git's ssh shorthand has it.
fn is_url(text: &str) -> bool {
    text.contains("://") || text.split_once(':').is_some_and(|(host, path)| !host.contains('/') && !path.is_empty())
}

async fn make(context: &Context, args: &DemoArgs, path: PathBuf) -> CommandResult<Repository> {
    if args.r#ref.is_some() {
        return Err(CommandError::usage("--ref needs --repo: the demo's own repository has one commit only")
            .hint("`rensei demo --repo <path or url> --ref <ref>`"));
    }
    let failed = |why: String| CommandError::context("failed to make the demo's repository", why);
    std::fs::create_dir(&path).map_err(|error| failed(error.to_string()))?;
    // Nothing of what the user has set up for repositories belongs in this one: no templates, no hooks, neither now nor
    // when the session's branch arrives.
    const BARE: &[&str] = &["--quiet", "--bare", "--template=", "--object-format=sha1", "--initial-branch=main", "."];
    let init = [&["-c", "core.hooksPath=/dev/null", "init"], BARE].concat();
    let steps: [(&[&str], Option<&str>); 3] = [
        (&init, None),
        (&["config", "core.hooksPath", "/dev/null"], None),
        (&["fast-import", "--quiet"], Some(HISTORY)),
    ];
    for (args, input) in steps {
        let done = git(context, &path, args, input).await?;
        if !done.status.success() {
            return Err(failed(complaint(&done)));
        }
    }
    Ok(Repository::Made(path))
}

/// Checks that `path` is a repository with the starting point. Only reads.
async fn check(context: &Context, path: &Path, r#ref: Option<String>) -> CommandResult<Repository> {
    let place = git(context, path, &["rev-parse", "--is-bare-repository", "--absolute-git-dir"], None).await?;
    if !place.status.success() {
        return Err(no_repository(path, complaint(&place)));
    }
    let start = format!("{}^{{commit}}", r#ref.as_deref().unwrap_or("HEAD"));
    let commit = git(context, path, &["rev-parse", "--verify", "--quiet", "--end-of-options", &start], None).await?;
    if !commit.status.success() {
        return Err(no_start(path, r#ref.as_deref()));
    }
    let r#ref = r#ref.map(|given| plain_ref(&given, &String::from_utf8_lossy(&commit.stdout)));
    let text = String::from_utf8_lossy(&place.stdout).into_owned();
    let top = match text.split_once('\n') {
        Some(("true", git_dir)) => git_dir.trim_end_matches('\n').to_owned(),
        _ => {
            let top = git(context, path, &["rev-parse", "--show-toplevel"], None).await?;
            String::from_utf8_lossy(&top.stdout).trim_end_matches('\n').to_owned()
        }
    };
    let path = std::fs::canonicalize(&top)
        .map_err(|error| CommandError::context(format!("failed to resolve the path `{top}`"), error))?;
    let url = path.to_str().map(str::to_owned);
    let url =
        url.ok_or_else(|| CommandError::usage(format!("the repository's path is not UTF-8: {}", path.display())))?;
    Ok(Repository::Local { url, r#ref })
}

fn no_repository(path: &Path, complaint: String) -> CommandError {
    let shown = path.display();
    if complaint.contains("dubious ownership") {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let absolute = text::quoted(&absolute.to_string_lossy());
        return CommandError::context(format!("git does not trust `{shown}`: it belongs to another user"), complaint)
            .hint(format!("if you do: `git config --global --add safe.directory {absolute}`"));
    }
    CommandError::context(format!("`{shown}` is not a git repository"), complaint)
        .hint("name a git repository, or let the demo make one: `rensei demo`")
}

/// What a session can be started from: names and commit ids as they are, expressions such as `HEAD~1` as the commit
/// that they stand for here.
fn plain_ref(given: &str, commit: &str) -> String {
    let is_expression = given.contains(['~', '^', ':', '@', '{']);
    (if is_expression { commit.trim_end() } else { given }).to_owned()
}

fn no_start(path: &Path, r#ref: Option<&str>) -> CommandError {
    let (shown, quoted) = (path.display(), text::quoted(&path.to_string_lossy()));
    match r#ref {
        Some(name) => CommandError::failure(format!("`{shown}` has no branch, tag or commit `{name}`"))
            .hint(format!("see what it has: `git -C {quoted} branch --all` and `git -C {quoted} tag`")),
        None => CommandError::failure(format!("`{shown}` has no commit to start from"))
            .hint(format!("make one: `git -C {quoted} commit --allow-empty -m 'First commit'`")),
    }
}

/// Runs git in `dir` with the user's environment, but without whatever ties it to another repository.
async fn git(context: &Context, dir: &Path, args: &[&str], input: Option<&str>) -> CommandResult<Output> {
    let run = async {
        let mut env = context.env.without_ours();
        env.retain(|name, _| !name.as_encoded_bytes().starts_with(b"GIT_"));
        let mut child = Command::new("git")
            .arg("--no-pager")
            .args(args)
            .env_clear()
            .envs(env)
            .env("LC_ALL", "C")
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.unwrap_or_default().as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    run.await.map_err(|error: io::Error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let error = CommandError::context("failed to run `git`", error);
        if missing { error.hint("install git; the demo makes its repository with it") } else { error }
    })
}

/// What git said, in one line.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("git said nothing");
    text::clean(line.strip_prefix("fatal: ").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        for url in ["https://example.com/a.git", "file:///srv/a", "git@example.com:a/b.git", "host:a"] {
            assert!(is_url(url), "{url}");
        }
        for path in ["a", "./a:b", "/srv/a", "host:"] {
            assert!(!is_url(path), "{path}");
        }
    }
}
