//! Remotes behind HTTP: real git behind a server on the loopback address, and servers that mean no good.

use crate::fixture::{Fixture, id, message};
use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::routing::any;
use rensei_proto::Secret;
use rensei_workarea::{
    AcquireRequest, Checkout, GitEnvironment, GitHints, GitToken, PushRequest, ReleaseMode, WorkareaErrorKind as Kind,
    WorkareaManager,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

/// The fixture's remote behind real git.
async fn real(fixture: &Fixture) -> String {
    fixture.git(&fixture.remote(), &["config", "uploadpack.allowReachableSHA1InWant", "true"]);
    rensei_testkit::serve_git(&fixture.remote().join(".git")).await
}

fn request(origin: &str, path: &str, reference: &str) -> AcquireRequest {
    AcquireRequest {
        repository: format!("http://{origin}/{path}"),
        r#ref: reference.into(),
        ..AcquireRequest::default()
    }
}

#[tokio::test]
async fn every_kind_of_ref_comes_over_http_and_so_do_news() {
    let fixture = Fixture::new();
    let origin = real(&fixture).await;
    let manager = fixture.manager();
    let [first, second] = ["v1^{}", "main"].map(|name| fixture.git(&fixture.remote(), &["rev-parse", name]));
    let cases = [("", &second), ("main", &second), ("feature/login", &first), ("v1", &first), (&first[..], &first)];
    for (number, (reference, expected)) in cases.into_iter().enumerate() {
        let acquired = manager.acquire(&id(&format!("s{number}")), request(&origin, "open", reference)).await.unwrap();
        assert_eq!(&acquired.commit, expected, "{reference}");
        assert_eq!(fixture.git(Path::new(&acquired.path), &["status", "--porcelain"]), "");
    }
    let third = fixture.commit("new", &"x\n".repeat(100_000), "third");
    assert_eq!(manager.acquire(&id("n1"), request(&origin, "open", "main")).await.unwrap().commit, third);
    fixture.git(&fixture.remote(), &["commit", "-q", "--amend", "-m", "rewritten"]);
    fixture.git(&fixture.remote(), &["branch", "-m", "feature/login", "feature"]);
    let rewritten = fixture.git(&fixture.remote(), &["rev-parse", "HEAD"]);
    assert_eq!(manager.acquire(&id("n2"), request(&origin, "open", "")).await.unwrap().commit, rewritten);
    assert_eq!(manager.acquire(&id("n3"), request(&origin, "open", "feature")).await.unwrap().commit, first);
    for missing in ["feature/login", "none", &"1".repeat(40)] {
        let error = manager.acquire(&id("n4"), request(&origin, "open", missing)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::MissingRef, "{error}");
    }
    fixture.git(&fixture.mirror(), &["fsck", "--strict"]);
    fixture.git(&fixture.remote(), &["checkout", "-q", "--detach"]);
    let pull = fixture.commit("pull", "x", "pull request");
    fixture.git(&fixture.remote(), &["update-ref", "refs/pull/1/head", &pull]);
    assert_eq!(manager.acquire(&id("n5"), request(&origin, "open", "")).await.unwrap().commit, pull);
    let off = request(&origin, "open", "refs/pull/1/head");
    assert_eq!(manager.acquire(&id("n6"), off).await.unwrap().commit, pull);
    assert!(fixture.leftovers().is_empty());
}

#[tokio::test]
async fn who_may_come_in_and_who_may_not() {
    let fixture = Fixture::new();
    let origin = real(&fixture).await;
    let manager = fixture.manager();
    let denied = |error: rensei_workarea::WorkareaError| {
        assert_eq!((error.kind(), error.is_retryable()), (Kind::Denied, false), "{error}");
        assert!(error.hint().is_some() && !format!("{error} {error:?}").contains("wrong"), "{error:?}");
    };
    denied(manager.acquire(&id("s1"), request(&origin, "private", "")).await.unwrap_err());
    denied(manager.acquire(&id("s1"), request(&format!("me:wrong@{origin}"), "private", "")).await.unwrap_err());
    manager.acquire(&id("s1"), request(&format!("me:s%65cret@{origin}"), "private", "")).await.unwrap();
    let token = GitToken {
        url: format!("http://{origin}/private"),
        username: "me".to_owned(),
        token: Secret::from("secret".to_owned()),
    };
    let hints = GitHints { tokens: vec![token], ..GitHints::default() };
    let with_token = AcquireRequest { hints: hints.clone(), ..request(&origin, "private", "") };
    let workarea = manager.acquire(&id("s2"), with_token).await.unwrap();
    let path = Path::new(&workarea.path);
    let checkout = Checkout::open(path, fixture.env()).unwrap();
    std::fs::write(path.join("work"), "x").unwrap();
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    denied(checkout.push(PushRequest::default()).await.unwrap_err());
    checkout.push(PushRequest { hints, ..PushRequest::default() }).await.unwrap();
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "agent/s2"]), commit);
}

#[tokio::test]
async fn whom_the_environment_trusts_is_trusted_over_https_and_nobody_else() {
    let fixture = Fixture::new();
    let origin = rensei_testkit::serve_tls(real(&fixture).await).await;
    let over_tls = || AcquireRequest { repository: format!("https://{origin}/open"), ..request(&origin, "", "") };
    let error = fixture.manager().acquire(&id("s1"), over_tls()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let authority = fixture.dir.path().join("authority.pem");
    std::fs::write(&authority, rensei_testkit::AUTHORITY).unwrap();
    let mut git = fixture.env();
    git.env.insert("GIT_SSL_CAINFO".into(), authority.into());
    let workarea = WorkareaManager::new(&fixture.state(), git.clone()).acquire(&id("s1"), over_tls()).await.unwrap();
    let path = Path::new(&workarea.path);
    std::fs::write(path.join("work"), "x").unwrap();
    let checkout = Checkout::open(path, git).unwrap();
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    checkout.push(PushRequest::default()).await.unwrap();
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "agent/s1"]), commit);
}

#[tokio::test]
async fn a_password_in_a_url_is_noted_nowhere() {
    let fixture = Fixture::new();
    let origin = real(&fixture).await;
    let manager = fixture.manager();
    let asked = request(&format!("me:s%65cret@{origin}"), "private", "");
    let workarea = manager.acquire(&id("s1"), asked.clone()).await.unwrap();
    assert_eq!(workarea.repository, format!("http://{origin}/private"));
    assert_eq!(manager.acquire(&id("s1"), asked.clone()).await.unwrap().commit, workarea.commit);
    assert_eq!(manager.held(&id("s1")).unwrap().repository, workarea.repository);
    let path = Path::new(&workarea.path);
    assert_eq!(fixture.git(path, &["remote", "get-url", "origin"]), workarea.repository);
    let found = std::process::Command::new("grep").args(["-rl", "s%65cret"]).arg(fixture.state()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    std::fs::write(path.join("work"), "x").unwrap();
    let checkout = Checkout::open(path, fixture.env()).unwrap();
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    checkout.push(PushRequest { repository: asked.repository, ..PushRequest::default() }).await.unwrap();
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "agent/s1"]), commit);
}

#[tokio::test]
async fn pushes_over_http_overwrite_nothing_of_others() {
    let fixture = Fixture::new();
    let origin = real(&fixture).await;
    let workarea = fixture.manager().acquire(&id("s1"), request(&origin, "open", "")).await.unwrap();
    let path = Path::new(&workarea.path);
    let checkout = Checkout::open(path, fixture.env()).unwrap();
    let work = |content: &str| {
        std::fs::write(path.join("work"), content).unwrap();
        checkout.commit_all(&message(content)).unwrap().unwrap()
    };
    // Large enough not to fit into one piece.
    let mut noise = 1_u64;
    let large: String = (0..3 << 20)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((noise >> 33) % 90).unwrap())
        })
        .collect();
    std::fs::write(path.join("large"), large).unwrap();
    let commit = work("one");
    let pushed = checkout.push(PushRequest::default()).await.unwrap();
    assert_eq!((pushed.branch.as_str(), pushed.commit, pushed.note), ("agent/s1", commit, None));
    checkout.push(PushRequest::default()).await.unwrap();
    fixture.git(&fixture.remote(), &["fsck", "--strict"]);
    // What an earlier attempt of the session left is replaced, what somebody else pushed is not.
    fixture.git(&fixture.remote(), &["branch", "-f", "agent/s1", "v1^{}"]);
    fixture.git(&fixture.remote(), &["checkout", "-q", "agent/s1"]);
    let theirs = fixture.commit("theirs", "x", "theirs");
    fixture.git(&fixture.remote(), &["branch", "topic"]);
    fixture.git(&fixture.remote(), &["checkout", "-q", "main"]);
    let pushed = checkout.push(PushRequest { branch: "topic".into(), ..PushRequest::default() }).await.unwrap();
    assert_eq!(pushed.branch, "agent/s1");
    assert!(pushed.note.unwrap().contains("`topic`: the remote has other commits"));
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "topic"]), theirs);
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "agent/s1"]), pushed.commit);
    let hook = fixture.remote().join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho no pushes on fridays >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    work("two");
    let error = checkout.push(PushRequest { branch: "other".into(), ..PushRequest::default() }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PushRejected);
    assert!(error.to_string().contains("`other`") && error.to_string().contains("fridays"), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_to_the_same_host() {
    let fixture = Fixture::new();
    let origin = real(&fixture).await;
    fixture.manager().acquire(&id("s1"), request(&origin, "moved", "")).await.unwrap();
    let error = fixture.manager().acquire(&id("s2"), request(&origin, "away", "")).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Git | Kind::Unreachable), "{error}");
}

/// A body that goes on until the client has enough of it.
fn endless(line: &'static [u8]) -> Body {
    let chunks = futures_util::stream::iter(std::iter::repeat_with(move || Ok::<_, std::io::Error>(line.repeat(1000))));
    Body::from_stream(chunks)
}

#[tokio::test]
async fn servers_that_mean_no_good_get_an_error_and_nothing_else() {
    let fixture = Fixture::new();
    let refs = "application/x-git-upload-pack-advertisement";
    let id_of = "0123456789abcdef0123456789abcdef01234567";
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let head = format!("{}0000", line("# service=git-upload-pack\n"));
    let main = line(&format!("{id_of} refs/heads/main\0side-band-64k ofs-delta\n"));
    let evil = line(&format!("{id_of} refs/heads/../../../config\0side-band-64k\n"));
    let bodies: Vec<(&str, u16, &str, Vec<u8>)> = vec![
        ("page", 200, "text/html", b"<html>log in</html>".to_vec()),
        ("empty", 200, refs, Vec::new()),
        ("garbage", 200, refs, b"zzzz\xff\xfe\0garbage".to_vec()),
        ("cut", 200, refs, b"0032abc".to_vec()),
        ("long", 200, refs, b"fffff".to_vec()),
        ("nopack", 200, refs, format!("{head}{main}0000").into_bytes()),
        ("names", 200, refs, format!("{head}{evil}0000").into_bytes()),
        ("loop", 302, "text/plain", Vec::new()),
        ("teapot", 418, "text/plain", Vec::new()),
        ("down", 503, "text/plain", Vec::new()),
    ];
    let mut router = Router::new();
    for (name, status, kind, body) in bodies.clone() {
        let answer = move || {
            let builder = Response::builder().status(status).header("content-type", kind);
            let there = format!("/{name}/info/refs?service=git-upload-pack");
            std::future::ready(builder.header("location", there).body(Body::from(body.clone())).unwrap())
        };
        router = router.route(&format!("/{name}/info/refs"), any(answer));
    }
    let pack =
        || async { ([("content-type", "application/x-git-upload-pack-result")], b"0008NAK\nPACKgarbage".to_vec()) };
    let endless_refs = move || std::future::ready(([("content-type", refs)], endless(b"0006x\n")));
    let router = router.route("/nopack/git-upload-pack", any(pack)).route("/endless/info/refs", any(endless_refs));
    let origin = serve(router).await;
    let manager = fixture.manager();
    for name in bodies.iter().map(|(name, ..)| *name) {
        for reference in ["main", ""] {
            let error = match manager.acquire(&id("s1"), request(&origin, name, reference)).await {
                Err(error) => error,
                // Git takes a page without references for an empty repository of the old kind, and either of them one
                // whose references all have impossible names.
                Ok(workarea) => {
                    let passes = name == "names" || crate::PROGRAM == "git";
                    assert!(passes && workarea.commit.is_empty(), "{name}");
                    manager.release(&id("s1"), ReleaseMode::Destroy).await.unwrap();
                    continue;
                }
            };
            assert!(!matches!(error.kind(), Kind::Io | Kind::DiskFull), "{name}: {error}");
            assert_eq!(error.is_retryable(), matches!(error.kind(), Kind::Unreachable), "{name}: {error}");
            assert!(name != "down" || error.is_retryable(), "{error}");
        }
    }
    // Too much of it, or too long: whichever comes first.
    let hasty = GitEnvironment { time_limit: Duration::from_secs(2), ..fixture.env() };
    let hasty = WorkareaManager::new(&fixture.state(), hasty);
    let error = hasty.acquire(&id("s1"), request(&origin, "endless", "main")).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Git | Kind::Unreachable), "{error}");
    assert!(fixture.leftovers().is_empty() && manager.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let fixture = Fixture::new();
    let (asked, gone) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (seen, left) = (Arc::clone(&asked), Arc::clone(&gone));
    let hang = move || {
        let (seen, left) = (Arc::clone(&seen), Arc::clone(&left));
        async move {
            /// Dropped with the request, when the client has gone.
            struct Gone(Arc<Semaphore>);
            impl Drop for Gone {
                fn drop(&mut self) {
                    self.0.add_permits(1);
                }
            }
            let _gone = Gone(left);
            seen.add_permits(1);
            std::future::pending::<StatusCode>().await
        }
    };
    let origin = serve(Router::new().route("/r/info/refs", any(hang))).await;
    let git = GitEnvironment { time_limit: Duration::from_secs(1), ..fixture.env() };
    let manager = WorkareaManager::new(&fixture.state(), git);
    let error = manager.acquire(&id("s1"), request(&origin, "r", "main")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Unreachable, true), "{error}");
    gone.acquire().await.unwrap().forget();
    // Nobody who asks any more: a push that is dropped goes no further either.
    asked.acquire().await.unwrap().forget();
    let workarea = fixture.acquire("s2", "").await.unwrap();
    let checkout = Checkout::open(Path::new(&workarea.path), fixture.env()).unwrap();
    let push = PushRequest { repository: format!("http://{origin}/r"), ..PushRequest::default() };
    let pushing = tokio::spawn(async move { checkout.push(push).await });
    asked.acquire().await.unwrap().forget();
    pushing.abort();
    gone.acquire().await.unwrap().forget();
    assert!(pushing.await.unwrap_err().is_cancelled());
    assert!(fixture.leftovers().is_empty());
}
