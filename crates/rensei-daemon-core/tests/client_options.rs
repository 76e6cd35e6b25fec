//! The daemon reaches its control plane as the embedder says.

use rensei_daemon_core::{ClientOptions, Daemon};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_registers_through_the_embedders_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let state = tempfile::tempdir().unwrap();
    let yaml = "orchestrator: {url: http://control.invalid, authToken: rsp_live_x}\nprojects: []\n";
    std::fs::write(state.path().join("daemon.yaml"), yaml).unwrap();
    let daemon = Daemon::builder(state.path().to_owned())
        .client_options(ClientOptions { proxy: Some(url), ..ClientOptions::default() })
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    let (stream, _) = proxy.accept().await.unwrap();
    let asked = BufReader::new(stream).lines().next_line().await.unwrap();
    assert_eq!(asked.as_deref(), Some("POST http://control.invalid/api/workers/register HTTP/1.1"));
    handle.stop();
    running.await.unwrap();
}
