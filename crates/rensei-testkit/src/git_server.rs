//! Real git behind HTTP.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path as UrlPath, RawQuery, State};
use axum::http::{HeaderMap, Method, Response};
use axum::routing::any;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// What `Authorization` must be for a private repository: user `me`, password `secret`.
const CREDENTIALS: &str = "Basic bWU6c2VjcmV0";

/// Serves the repository with that git directory from the runtime it is called in; host and port come back. It is at
/// `/open`, at `/private` for whom logs in as `me` with `secret`, at `/moved`, which leads to `/open`, and at `/away`,
/// which leads to another host. Pushes are taken from everybody.
pub async fn serve_git(git_dir: &Path) -> String {
    let router = Router::new().route("/{*path}", any(answer)).layer(DefaultBodyLimit::disable());
    let router = router.with_state(Arc::new(git_dir.to_owned()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

async fn answer(
    State(git_dir): State<Arc<PathBuf>>,
    UrlPath(path): UrlPath<String>,
    RawQuery(query): RawQuery,
    (method, headers, body): (Method, HeaderMap, Bytes),
) -> Response<Body> {
    let short = |status: u16, name: &str, value: &str| {
        Response::builder().status(status).header(name, value).body(Body::empty()).unwrap()
    };
    let query = query.unwrap_or_default();
    let (area, path) = path.split_once('/').unwrap_or_default();
    match area {
        "private" if headers.get("authorization").is_none_or(|shown| shown != CREDENTIALS) => {
            short(401, "www-authenticate", "Basic realm=\"git\"")
        }
        "moved" => short(301, "location", &format!("/open/{path}?{query}")),
        "away" => short(302, "location", &format!("http://localhost:1/open/{path}?{query}")),
        "open" | "private" => {
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let call = [
                ("REQUEST_METHOD", method.as_str()),
                ("PATH_INFO", &format!("/{path}")),
                ("QUERY_STRING", &query),
                ("CONTENT_TYPE", header("content-type")),
                ("CONTENT_LENGTH", &body.len().to_string()),
                ("GIT_PROTOCOL", header("git-protocol")),
                ("HTTP_CONTENT_ENCODING", header("content-encoding")),
            ]
            .map(|(name, value)| (name, value.to_owned()));
            let output = backend(&git_dir, call, &body).await;
            response(&output)
        }
        _ => short(404, "x-area", "none"),
    }
}

/// `git http-backend` as a web server calls it.
async fn backend(git_dir: &Path, call: [(&str, String); 7], body: &[u8]) -> Vec<u8> {
    let mut child = tokio::process::Command::new("git")
        .args(["-c", "safe.directory=*", "-c", "http.receivepack=true", "http-backend"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("GIT_CONFIG_NOSYSTEM", "1"), ("HOME", "/nonexistent")])
        .envs([("GIT_PROJECT_ROOT", git_dir), ("REMOTE_USER", Path::new("me"))])
        .envs(call)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have heard enough.
    let feed = async move { drop(stdin.write_all(body).await) };
    tokio::join!(child.wait_with_output(), feed).0.unwrap().stdout
}

/// Headers, an empty line, the body.
fn response(output: &[u8]) -> Response<Body> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let lines = std::str::from_utf8(&output[..end]).unwrap().lines();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let response = headers.fold(Response::builder(), |response, (name, value)| match name {
        "Status" => response.status(value[..3].parse::<u16>().unwrap()),
        _ => response.header(name, value),
    });
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}
