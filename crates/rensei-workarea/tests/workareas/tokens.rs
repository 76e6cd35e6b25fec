//! Credentials of one session.

use crate::fixture::{Fixture, id};
use rensei_proto::Secret;
use rensei_workarea::{AcquireRequest, GitHints, GitToken};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A server that wants to know who asks and then has nothing; every `Authorization` that it was shown.
fn server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let credentials = headers.iter().find_map(|line| {
                line.split_once(": ")
                    .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
                    .map(|(_, value)| value)
            });
            let answer = match credentials {
                Some(credentials) => {
                    seen.lock().unwrap().push(credentials.to_owned());
                    "404 Not Found\r\n"
                }
                None => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n",
            };
            // The client may have seen enough.
            let _ = write!(stream, "HTTP/1.1 {answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (origin, shown)
}

#[tokio::test]
async fn a_sessions_token_is_shown_to_its_own_repository_only() {
    let fixture = Fixture::new();
    let ((origin, shown), (elsewhere, shown_elsewhere)) = (server(), server());
    let token = GitToken {
        url: format!("{origin}/o/private.git"),
        username: String::new(),
        token: Secret::from("secret-token".to_owned()),
    };
    let hints = GitHints { tokens: vec![token], ..GitHints::default() };
    assert!(!format!("{hints:?}").contains("secret-token"));
    let manager = fixture.manager();
    for place in [format!("{origin}/o/other"), format!("{elsewhere}/o/private"), format!("{origin}/o/private")] {
        let request = AcquireRequest { repository: place.clone(), hints: hints.clone(), ..AcquireRequest::default() };
        let error = manager.acquire(&id("s1"), request).await.unwrap_err();
        assert!(!error.to_string().contains("secret-token"), "{error}");
    }
    let shown = shown.lock().unwrap();
    assert!(
        !shown.is_empty() && shown.iter().all(|shown| shown == "Basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0LXRva2Vu"),
        "{shown:?}"
    );
    assert!(shown_elsewhere.lock().unwrap().is_empty());
}
