//! A host that has run out of file descriptors comes back by itself. Alone in its process, because the limit is the
//! process's.

#![cfg(all(feature = "client", feature = "server"))]

use rensei_control_api::{ControlClient, ControlListener};
use rensei_daemon_core::Daemon;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn running_out_of_descriptors_does_not_end_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let listener = ControlListener::bind("127.0.0.1", 0).unwrap();
    let (address, url) = (listener.local_addr(), listener.url());
    let daemon = Daemon::builder(dir.path().to_owned()).build().unwrap().with_control_url(&url);
    tokio::spawn(listener.serve(daemon.handle(), std::future::pending()));
    let client = ControlClient::new(&url).unwrap();
    client.healthz().await.unwrap();

    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
    let mut hoard = Vec::new();
    while let Ok(stream) = TcpStream::connect(address).await {
        hoard.push(stream);
        tokio::task::yield_now().await;
        assert!(hoard.len() < 64, "the limit holds");
    }
    drop(hoard);
    let recovered = async {
        while client.healthz().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), recovered).await.is_ok(), "the server is gone");
}
