//! Git over HTTP: a server on the loopback address, with real git behind it or with answers of its own.

use crate::fixture::{Home, Repo, kit};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use rensei_proto::control::KitInstallSource;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;

struct Server {
    url: String,
    sent: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Served {
    repo: PathBuf,
    sent: Arc<AtomicUsize>,
}

async fn git(served: &Served, headers: &HeaderMap, args: &[&str], input: &[u8]) -> Vec<u8> {
    let protocol = headers.get("git-protocol").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .args(["-c", "safe.directory=*", "upload-pack", "--stateless-rpc"])
        .args(args)
        .arg(&served.repo)
        .env("GIT_PROTOCOL", protocol)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).await.unwrap();
    let output = child.wait_with_output().await.unwrap().stdout;
    served.sent.fetch_add(output.len(), Ordering::SeqCst);
    output
}

fn answer(kind: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .header("content-type", format!("application/x-git-upload-pack-{kind}"))
        .body(body.into())
        .unwrap()
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn server(repo: &Repo) -> Server {
    let served = Served { repo: repo.path(), sent: Arc::default() };
    let refs = |State(served): State<Served>, headers: HeaderMap, Path(name): Path<String>| async move {
        if name == "moved" {
            let to = "/repo/info/refs?service=git-upload-pack";
            return Response::builder().status(301).header("location", to).body(Body::empty()).unwrap();
        }
        let head = b"001e# service=git-upload-pack\n0000".to_vec();
        answer("advertisement", [head, git(&served, &headers, &["--advertise-refs"], b"").await].concat())
    };
    let pack = |State(served): State<Served>, headers: HeaderMap, body: Bytes| async move {
        answer("result", git(&served, &headers, &[], &body).await)
    };
    let router = Router::new()
        .route("/{name}/info/refs", get(refs))
        .route("/{name}/git-upload-pack", post(pack))
        .with_state(served.clone());
    Server { url: serve(router).await, sent: served.sent }
}

fn source(url: String, reference: &str) -> KitInstallSource {
    KitInstallSource { kind: "git".to_owned(), url, r#ref: reference.to_owned(), ..KitInstallSource::default() }
}

#[tokio::test]
async fn one_commit_is_fetched_without_its_history() {
    let (home, repo) = (Home::new(), Repo::new());
    // What does not compress, and is gone in the commit that is wanted.
    let mut noise = 1_u64;
    let large: String = (0..300_000)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + u8::try_from((noise >> 33) % 26).unwrap())
        })
        .collect();
    repo.put("large", &large);
    repo.put("a.kit.toml", &kit("a", "[provide.commands]\nbuild = \"one\""));
    let first = repo.commit();
    repo.git(&["tag", "-a", "-m", "x", "v1"]);
    repo.git(&["rm", "-q", "large"]);
    repo.put("a.kit.toml", &kit("a", "[provide.commands]\nbuild = \"two\""));
    repo.commit();
    let server = server(&repo).await;
    let url = format!("{}/repo", server.url);
    home.install("a", &source(url.clone(), "")).await.unwrap();
    assert_eq!(home.registry().get("a").unwrap().commands["build"], "two");
    assert!(server.sent.load(Ordering::SeqCst) < 100_000, "no history: {}", server.sent.load(Ordering::SeqCst));
    for (reference, build) in [("main", "two"), ("v1", "one"), ("refs/tags/v1", "one"), (first.as_str(), "one")] {
        home.install("a", &source(url.clone(), reference)).await.unwrap();
        assert_eq!(home.registry().get("a").unwrap().commands["build"], build, "{reference}");
    }
    home.install("a", &source(format!("{}/moved/", server.url), "")).await.unwrap();
    for missing in ["none", &"1".repeat(40)] {
        let (status, error) = home.refused("a", &source(url.clone(), missing)).await;
        assert!(status == 502 && error.contains(missing), "{error}");
    }
}

#[tokio::test]
async fn an_empty_repository_is_no_source() {
    let (home, repo) = (Home::new(), Repo::new());
    let server = server(&repo).await;
    let (status, error) = home.refused("a", &source(format!("{}/repo", server.url), "")).await;
    assert_eq!(status, 502);
    assert!(error.ends_with("the repository is empty"), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_too_large_is_refused() {
    let (home, repo) = (Home::new(), Repo::new());
    let mut noise = 7_u64;
    let bytes: Vec<u8> = (0..5 << 20)
        .map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .collect();
    std::fs::write(repo.path().join("large"), bytes).unwrap();
    repo.commit();
    let server = server(&repo).await;
    let (status, error) = home.refused("a", &source(format!("{}/repo", server.url), "")).await;
    assert!(status == 502 && error.ends_with("larger than 4 MiB"), "{error}");
}

#[tokio::test]
async fn servers_that_are_no_git_servers() {
    let home = Home::new();
    let status = |status: u16| get(move || async move { StatusCode::from_u16(status).unwrap() });
    let redirect = |to: &'static str| {
        get(move || async move { Response::builder().status(302).header("location", to).body(Body::empty()).unwrap() })
    };
    let says = |text: &'static str| get(move || async move { answer("advertisement", text) });
    let router = Router::new()
        .route("/gone/info/refs", status(404))
        .route("/private/info/refs", status(401))
        .route("/page/info/refs", get(|| async { "<html>" }))
        .route("/elsewhere/info/refs", redirect("http://localhost:1/x/info/refs"))
        .route("/file/info/refs", redirect("file:///etc/passwd"))
        .route("/round/info/refs", redirect("/round/info/refs?service=git-upload-pack"))
        .route("/path/info/refs", redirect("/other"))
        .route("/old/info/refs", says("001e# service=git-upload-pack\n00000000"))
        .route("/noise/info/refs", says("zzzz"))
        .route("/cut/info/refs", says("00ffversion 2"));
    let url = serve(router).await;
    for (path, problem) in [
        ("gone", "404"),
        ("private", "401"),
        ("page", "there is no git repository at this URL"),
        ("elsewhere", "a redirect leads to another host"),
        ("file", "a redirect leads to another host"),
        ("round", "too many redirects"),
        ("path", "a redirect leads elsewhere"),
        ("old", "does not speak version 2"),
        ("noise", "does not speak git's protocol"),
        ("cut", "does not speak version 2"),
    ] {
        let (status, error) = home.refused("a", &source(format!("{url}/{path}"), "")).await;
        assert!(status == 502 && error.contains(problem), "{path}: {error}");
    }
}

#[tokio::test]
async fn damaged_packs_are_refused() {
    let home = Home::new();
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let id = "1".repeat(40);
    let refs = line(&format!("{id} HEAD\n")) + "0000";
    let advertised = line("version 2\n") + "0000";
    for (pack, problem) in [
        (line("packfile\n") + &line("\u{1}PACKxxxxxxxxxxxxxxxx") + "0000", "clone "),
        (line("packfile\n") + "0000", "the server sent nothing"),
        (line("ERR no\u{7}way\n"), "the server says: no way"),
        (line("packfile\n") + &line("\u{3}out of order\n"), "the server says: out of order"),
        (line("packfile\n") + &line("\u{1}PACK\0\0\0\u{2}\u{7f}\0\0\0") + "0000", "too many objects"),
        (String::new(), "the server sent no objects"),
    ] {
        let (refs, advertised) = (refs.clone(), advertised.clone());
        let asked = Arc::new(AtomicUsize::new(0));
        let router =
            Router::new().route("/r/info/refs", get(move || async move { answer("advertisement", advertised) })).route(
                "/r/git-upload-pack",
                post(move |body: String| async move {
                    asked.fetch_add(1, Ordering::SeqCst);
                    answer("result", if body.contains("ls-refs") { refs } else { pack })
                }),
            );
        let (status, error) = home.refused("a", &source(format!("{}/r", serve(router).await), "")).await;
        assert!(status == 502 && error.contains(problem), "{error}");
    }
}
