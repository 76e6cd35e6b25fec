//! The stream of events.

use super::fixture::{PATIENCE, Server};
use rensei_control_api::EventStream;
use rensei_proto::control::{HostChange, HostEvent, HostState, RegistrationState};
use rensei_testkit::{Answer, Call, FakePlatform, REGISTRATION_TOKEN};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn next(stream: &mut EventStream) -> HostEvent {
    tokio::time::timeout(PATIENCE, stream.next_event()).await.unwrap().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_streamed_resumed_and_ended() {
    let mut server = Server::start().await;
    let mut stream = server.client().events(None).await.unwrap();
    server.client().pause().await.unwrap();
    let mut paused = next(&mut stream).await;
    // That the host is up may be told only now.
    if paused.change == (HostChange::HostState { status: HostState::Ready }) {
        paused = next(&mut stream).await;
    }
    assert_eq!(paused.change, HostChange::HostState { status: HostState::Paused });
    drop(stream);
    server.client().resume().await.unwrap();
    let id = server.session("s1", "exit 3").await;
    server.ended(&id).await;

    let mut resumed = server.client().events(Some(&paused.id)).await.unwrap();
    assert_eq!(next(&mut resumed).await.change, HostChange::HostState { status: HostState::Ready });
    let HostChange::SessionStarted { session } = next(&mut resumed).await.change else { panic!() };
    assert_eq!(session.session_id, id);
    let HostChange::SessionEnded { session } = next(&mut resumed).await.change else { panic!() };
    assert_eq!((session.session_id, session.exit_code), (id, Some(3)));

    let mut stranger = server.client().events(Some("1-1")).await.unwrap();
    assert_eq!(next(&mut stranger).await.change, HostChange::Missed { missed: None });

    server.shutdown.take().unwrap().send(()).unwrap();
    assert_eq!(next(&mut resumed).await.change, HostChange::End);
    assert!(resumed.next_event().await.is_none());
    (&mut server.served).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_server_sent_events() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /api/daemon/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut seen).await.unwrap();
    }
    server.client().pause().await.unwrap();
    let text = loop {
        stream.read_buf(&mut seen).await.unwrap();
        let text = String::from_utf8_lossy(&seen).into_owned();
        // That the host is up may be told only now, before that it is paused.
        if text.ends_with("\n\n\r\n") && text.contains("paused") {
            break text;
        }
    };
    let head = text.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-cache"), "{text}");
    let line = |name: &str| text.lines().rev().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let event: serde_json::Value = serde_json::from_str(&line("data:")).unwrap();
    assert_eq!((event["type"].as_str(), event["status"].as_str()), (Some("host.state"), Some("paused")));
    assert_eq!((event["id"].as_str(), line("event:").as_str()), (Some(line("id:").as_str()), "host.state"));
    let bad = server.call("GET /api/daemon/events", &["last-event-id: \u{fc}"], "").await;
    assert_eq!(bad.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_it_stands_with_each_organisation_is_streamed_under_its_name() {
    let (main, partner) = (FakePlatform::start().await, FakePlatform::start().await);
    let orchestrator = |url: &str| format!("orchestrator: {{url: \"{url}\", authToken: {REGISTRATION_TOKEN}}}\n");
    let server = Server::with(&orchestrator(main.url()), |builder| builder).await;
    let mut stream = server.client().events(None).await.unwrap();
    std::fs::write(server.root().join("daemon-partner.yaml"), orchestrator(partner.url())).unwrap();
    let mut stands = async |name: Option<&str>, wanted: RegistrationState| loop {
        if let HostChange::RegistrationChanged { organization, registration } = next(&mut stream).await.change {
            let url = if organization.is_some() { partner.url() } else { main.url() };
            assert_eq!(registration.url, url);
            if (organization.as_deref(), registration.state) == (name, wanted) {
                return;
            }
        }
    };
    stands(Some("partner"), RegistrationState::Registered).await;
    for (name, platform) in [(None, &main), (Some("partner"), &partner)] {
        platform.always(Call::Heartbeat, Answer::json(500, ""));
        stands(name, RegistrationState::Unreachable).await;
        platform.heal();
        stands(name, RegistrationState::Registered).await;
    }
    std::fs::remove_file(server.root().join("daemon-partner.yaml")).unwrap();
    stands(Some("partner"), RegistrationState::Local).await;
}
