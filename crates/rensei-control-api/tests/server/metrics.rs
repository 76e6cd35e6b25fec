//! The metrics.

use super::fixture::{CONFIG, PATIENCE, Reply, Server, call};
use super::guard::call_as_nobody;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

async fn measured() -> (Server, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("{CONFIG}observability: {{metricsPort: {}}}\n", address.port());
    let server = Server::with(&config, |builder| builder).await;
    let up = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.unwrap();
    (server, address)
}

async fn scrape(address: SocketAddr) -> Reply {
    call(address, "GET /metrics", &[], "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_somebody_else_has_is_taken_when_it_is_free() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let config = format!("{CONFIG}observability: {{metricsPort: {}}}\n", address.port());
    let server = Server::with(&config, |builder| builder).await;
    let incident = server.until_incident(|incident| incident.is_some()).await.unwrap();
    let expected = format!("the metrics cannot be served: {address} is already in use");
    assert!(incident.starts_with(&expected) && incident.contains("observability.metricsPort"), "{incident}");
    server.session("s1", "sleep 60").await;
    assert!(server.daemon.status().incident.is_some(), "a session that starts does not end this trouble");
    drop(other);
    assert_eq!(server.until_incident(|incident| incident.is_none()).await, None);
    let text = scrape(address).await.body;
    let counted = sample(&text, r#"rensei_control_request_duration_seconds_count{method="POST",code="2xx"}"#);
    assert!((counted - 1.0).abs() < f64::EPSILON, "what happened meanwhile was counted:\n{text}");
}

/// The value of one sample.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let (server, address) = measured().await;
    let id = server.session("s1", "exit 3").await;
    server.ended(&id).await;
    server.session("s2", "sleep 60").await;
    assert_eq!(server.post("/api/daemon/sessions", r#"{"sessionId":"s3","repository":"x"}"#).await.status, 400);
    let ended = async {
        loop {
            let text = scrape(address).await.body;
            if sample(&text, r#"rensei_sessions_ended_total{state="failed"}"#) > 0.0 {
                return text;
            }
        }
    };
    let text = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    for (name, value) in [
        (r#"rensei_host_state{state="ready"}"#, 1.0),
        (r#"rensei_host_state{state="paused"}"#, 0.0),
        (r#"rensei_sessions{state="running"}"#, 1.0),
        ("rensei_session_slots", 4.0),
        ("rensei_sessions_accepted_total", 2.0),
        (r#"rensei_sessions_refused_total{reason="not_allowed"}"#, 1.0),
        (r#"rensei_sessions_refused_total{reason="full"}"#, 0.0),
        ("rensei_session_duration_seconds_count", 1.0),
        ("rensei_registered", 0.0),
        (r#"rensei_lane_up{lane="poll"}"#, 0.0),
        ("rensei_last_heartbeat_time_seconds", 0.0),
    ] {
        assert!((sample(&text, name) - value).abs() < f64::EPSILON, "{name} is not {value}:\n{text}");
    }
    assert!(text.contains(r#"rensei_control_request_duration_seconds_count{method="POST",code="4xx"} 1"#), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let (_server, address) = measured().await;
    let newer = call(address, "GET /metrics", &["accept: application/openmetrics-text; version=1.0.0"], "").await;
    let newer_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((newer.header("content-type"), newer.header("vary")), (Some(newer_type), Some("accept")));
    let older = scrape(address).await;
    assert_eq!(older.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let parsed = openmetrics_parser::prometheus::parse_prometheus(&older.body).unwrap();
    let newer = openmetrics_parser::openmetrics::parse_openmetrics(&newer.body).unwrap();
    assert_eq!(parsed.families.len(), newer.families.len());
    assert!(parsed.families.contains_key("rensei_sessions_accepted_total"), "counters are counters in both");
    assert!(!older.body.contains("# UNIT") && !older.body.contains("# EOF"), "{}", older.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_openmetrics_and_all_of_them_are_documented() {
    let (_server, address) = measured().await;
    let reply = call(address, "GET /metrics", &["accept: application/openmetrics-text"], "").await;
    let parsed = openmetrics_parser::openmetrics::parse_openmetrics(&reply.body).unwrap();
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let types = reply.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let served: BTreeSet<String> = types.map(|(name, kind)| format!("{name}{}", suffix(kind))).collect();
    assert_eq!(served.len(), parsed.families.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `rensei_")?.split_once("` |"));
    let rows = rows.filter(|(name, _)| !name.contains(' ')); // conditions of alerts
    let documented: BTreeSet<String> = rows.map(|(name, _)| format!("rensei_{name}")).collect();
    assert_eq!(served, documented, "docs/operating.md lists exactly what is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_this_machine_and_for_reading() {
    let (_server, address) = measured().await;
    assert_eq!(call(address, "GET /metrics", &["host: evil.example"], "").await.status, 403);
    assert_eq!(call(address, "GET /metrics", &["origin: https://evil.example"], "").await.status, 403);
    assert_eq!(call(address, "GET /", &[], "").await.status, 404);
    let refused = call(address, "POST /metrics", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("get,head")));
    if let Some(reply) = call_as_nobody(address, "GET /metrics").await {
        assert_eq!(reply.status, 200, "a scraper is another user");
    }
}
