//! Every call against every status and every broken answer.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_platform_client::{AuthFailure, ClientError, MAX_BODY, PlatformClient, Timeouts};
use rensei_proto::platform::{
    Activity, ActivityRequest, ClaimRequest, CompletionRequest, HeartbeatRequest, LockRefreshRequest, NackRequest,
    RegisterRequest, StatusRequest,
};
use rensei_proto::{Secret, SessionStatus};
use rensei_testkit::{Answer, Call, Capture, FakePlatform, Fault, TOKEN_MARK};
use serde_json::value::RawValue;
use std::time::Duration;

/// Statuses that platforms and what stands before them answer with, beside 2xx.
const REFUSALS: [u16; 18] = [301, 302, 303, 307, 400, 401, 403, 404, 405, 409, 410, 413, 422, 429, 500, 502, 503, 504];

/// Bodies that no call is answered with.
fn garbage() -> Vec<Vec<u8>> {
    vec![
        b"".to_vec(),
        b" \r\n\t".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"error\":{\"a\":[1,2]},\"code\":7,\"hint\":[],\"workerId\":9,\"work\":{},\"claimed\":\"no\"}".to_vec(),
        b"<!doctype html><html><title>Sign in</title></html>".to_vec(),
        b"\xff\xfe\x00\x01\x1b[31m\x07".to_vec(),
        b"{\"error\":\"a\\u0000b\\ud800\"}".to_vec(),
        "[".repeat(10_000).into_bytes(),
        "{\"error\":".repeat(10_000).into_bytes(),
        "x".repeat(200_000).into_bytes(),
    ]
}

fn token() -> Secret {
    Secret::from(format!("rsp_live_{TOKEN_MARK}-caller"))
}

fn client(platform: &FakePlatform) -> PlatformClient {
    PlatformClient::new(platform.url()).unwrap()
}

/// Makes `call`, and drops what a success says.
async fn ask(client: &PlatformClient, call: Call) -> Result<(), ClientError> {
    let (token, worker, session) = (token(), "w1", "s1");
    let worker_id = worker.to_owned();
    match call {
        Call::Register => client.register(&token, &RegisterRequest::default()).await.map(drop),
        Call::RefreshToken => client.refresh_token(&token, worker).await.map(drop),
        Call::Heartbeat => client.heartbeat(&token, worker, &HeartbeatRequest::default()).await.map(drop),
        Call::Poll => client.poll(&token, worker, None).await.map(drop),
        Call::Claim => client.claim(&token, session, &ClaimRequest { worker_id }).await.map(drop),
        Call::Nack => {
            let work = RawValue::from_string("{}".to_owned()).unwrap();
            client
                .nack(
                    &token,
                    session,
                    &NackRequest { worker_id, reason: String::new(), work, attempt: None, host_fault: false },
                )
                .await
        }
        Call::LockRefresh => {
            let request = LockRefreshRequest { worker_id, ..LockRefreshRequest::default() };
            client.lock_refresh(&token, session, &request, None).await.map(drop)
        }
        Call::Status => {
            client.status(&token, session, &StatusRequest::new(worker_id, SessionStatus::Running, None)).await
        }
        Call::Activity => {
            let request = ActivityRequest { worker_id, attempt: None, activity: Activity::default() };
            client.activity(&token, session, &request).await
        }
        Call::Completion => {
            let request = CompletionRequest { worker_id, ..CompletionRequest::default() };
            client.completion(&token, session, &request).await
        }
    }
}

/// Everything that anybody could print of an error.
fn printed(error: &ClientError) -> String {
    let mut text = format!("{error} {error:?} {:?}", error.hint());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn every_refusal_of_every_call_is_a_bounded_status_error_without_the_token() {
    let capture = Capture::install();
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    for call in Call::ALL {
        for status in REFUSALS {
            for body in garbage() {
                platform.fault(call, Answer::json(status, body));
                let error = ask(&client, call).await.unwrap_err();
                assert_eq!(error.status(), Some(status), "{call:?}: {error}");
                let text = error.to_string();
                assert!(text.len() < 3000 && !text.contains(['\n', '\u{1b}']), "{call:?} {status}: {text}");
            }
        }
    }
    capture.assert_clean();
}

#[tokio::test]
async fn tokens_that_come_back_are_shown_by_no_error() {
    let capture = Capture::install();
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    let echoes = [
        r#"{"error":"token {bearer} is unknown"}"#,
        r#"{"error":"no","hint":"drop {bearer}","code":"{bearer}","status":"{bearer}"}"#,
        r#"{"message":"{bearer}{bearer}"}"#,
        "<html>{bearer}</html>",
        r#""{bearer}""#,
        r#"["{bearer}"]"#,
        r#"{"workerId":"w1","runtimeToken":["{bearer}"],"claimed":"{bearer}","refreshed":"{bearer}","work":"{bearer}"}"#,
        r#"{"workerId":{"a":"{bearer}"},"work":[{"sessionId":"{bearer}"}],"work":"{bearer}"}"#,
    ];
    for call in Call::ALL {
        for status in [200, 401, 500] {
            for body in echoes {
                platform.fault(call, Fault::Echo(Answer::json(status, body)));
                if let Err(error) = ask(&client, call).await {
                    let text = printed(&error);
                    assert!(!text.contains(TOKEN_MARK), "{call:?} {status} {body}: {text}");
                }
            }
        }
    }
    capture.assert_clean();
}

#[tokio::test]
async fn success_without_a_readable_answer_counts_where_nothing_is_needed_of_it() {
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    for call in Call::ALL {
        for status in [200, 201, 204] {
            for body in garbage() {
                platform.fault(call, Answer::json(status, body.clone()));
                let outcome = ask(&client, call).await;
                let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
                match call {
                    Call::Heartbeat | Call::Nack | Call::Status | Call::Activity | Call::Completion => {
                        assert!(outcome.is_ok(), "{call:?} {status} {shown}: {outcome:?}");
                    }
                    Call::LockRefresh => {
                        let empty = status == 204 || body.trim_ascii().is_empty();
                        // JSON of another shape is read as "not refreshed", which nobody takes for a renewal.
                        let unreadable = matches!(outcome, Err(ClientError::Decode { .. }));
                        assert!(unreadable || outcome.is_ok(), "{status} {shown}: {outcome:?}");
                        assert!(!empty || outcome.is_ok(), "{status} {shown}: {outcome:?}");
                    }
                    Call::Register | Call::RefreshToken | Call::Claim | Call::Poll => {
                        let retry = outcome.as_ref().err().is_some_and(ClientError::is_retryable);
                        let decode = matches!(outcome, Err(ClientError::Decode { .. }));
                        // A poll answer whose fields are all missing says that there is no work.
                        let fields_missing = body == b"[]" || body.starts_with(b"{\"error\":\"a");
                        let nothing = call == Call::Poll && fields_missing && status != 204;
                        assert!((decode && retry) || nothing, "{call:?} {status} {shown}: {outcome:?}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn rejections_are_classified_by_status_and_text() {
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    let expired = r#"{"error":"Runtime token expired; call again with the registration token"}"#;
    for (call, status, body, expected) in [
        (Call::Heartbeat, 401, expired, Some(AuthFailure::RuntimeTokenExpired)),
        (Call::Poll, 401, "<p>Runtime token expired</p>", Some(AuthFailure::RuntimeTokenExpired)),
        (
            Call::Status,
            401,
            r#"{"error":"Unauthorized","message":"Runtime token expired"}"#,
            Some(AuthFailure::RuntimeTokenExpired),
        ),
        (Call::Poll, 401, "runtime token expired", Some(AuthFailure::Unauthorized)),
        (Call::Heartbeat, 401, "", Some(AuthFailure::Unauthorized)),
        (Call::Heartbeat, 404, "", Some(AuthFailure::WorkerNotFound)),
        (Call::Poll, 404, expired, Some(AuthFailure::WorkerNotFound)),
        (Call::Status, 404, "", None),
        (Call::RefreshToken, 404, "", None),
        (Call::Poll, 403, "", Some(AuthFailure::AuthFailure)),
        (Call::Poll, 410, "", None),
    ] {
        platform.fault(call, Answer::json(status, body));
        assert_eq!(ask(&client, call).await.unwrap_err().auth_failure(), expected, "{call:?} {status} {body}");
    }
}

#[tokio::test]
async fn broken_connections_are_transport_errors_and_the_next_call_works() {
    let capture = Capture::install();
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    for call in Call::ALL {
        // An accepted report stays accepted when only its answer breaks off.
        let only_status_matters = matches!(call, Call::Nack | Call::Status | Call::Activity | Call::Completion);
        for fault in [
            Fault::CloseBeforeReading,
            Fault::CloseAfterReading,
            Fault::NotHttp,
            Fault::Truncated(Answer::json(200, r#"{"workerId":"w1","runtimeToken":"t","claimed":true,"work":[]}"#)),
        ] {
            let truncated = matches!(fault, Fault::Truncated(_));
            platform.always(call, fault.clone());
            let outcome = ask(&client, call).await;
            platform.heal();
            if truncated && only_status_matters {
                assert!(outcome.is_ok(), "{call:?} {fault:?}: {outcome:?}");
                continue;
            }
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, ClientError::Transport { .. }) && error.is_retryable(),
                "{call:?} {fault:?}: {error:?}"
            );
        }
        platform.fault(call, Answer::json(500, "up again"));
        assert_eq!(ask(&client, call).await.unwrap_err().status(), Some(500), "{call:?}");
    }
    capture.assert_clean();
}

#[tokio::test]
async fn every_wait_for_the_platform_is_bounded() {
    let platform = FakePlatform::start().await;
    let brief = Duration::from_millis(500);
    let timeouts = Timeouts { connect: brief, short: brief, call: brief, long: brief, wait_margin: brief };
    let client = PlatformClient::with_timeouts(platform.url(), timeouts).unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for call in Call::ALL {
        for fault in [Fault::Hang, Fault::DripHead, Fault::HangInBody, Fault::DripBody] {
            // The next request to this call has come in before the next fault is set, so each meets its own.
            platform.always(call, fault.clone());
            let client = client.clone();
            asked.spawn(async move { (call, fault, ask(&client, call).await) });
            platform.until_more(call, 1).await;
        }
    }
    // That all come back is the point: the faults themselves never end.
    while let Some(outcome) = asked.join_next().await {
        let (call, fault, outcome) = outcome.unwrap();
        let only_status_matters = matches!(call, Call::Nack | Call::Status | Call::Activity | Call::Completion);
        if only_status_matters && matches!(fault, Fault::HangInBody | Fault::DripBody) {
            assert!(outcome.is_ok(), "{call:?} {fault:?}: {outcome:?}");
        } else {
            assert!(matches!(outcome, Err(ClientError::Transport { .. })), "{call:?} {fault:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn bodies_without_an_end_are_left_at_the_limit() {
    const GIB: u64 = 1 << 30;
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    for call in [Call::Register, Call::RefreshToken, Call::Heartbeat, Call::Poll, Call::Claim, Call::LockRefresh] {
        for fault in [Fault::Flood(200, 10 << 20), Fault::Flood(200, GIB), Fault::Announce(200, GIB)] {
            platform.fault(call, fault.clone());
            let outcome = ask(&client, call).await;
            let Err(ClientError::TooLarge { limit, .. }) = outcome else { panic!("{call:?} {fault:?}: {outcome:?}") };
            assert_eq!(limit, MAX_BODY);
        }
        for fault in [Fault::Flood(500, GIB), Fault::Flood(401, 10 << 20)] {
            let Fault::Flood(status, _) = fault else { unreachable!() };
            platform.fault(call, fault);
            assert_eq!(ask(&client, call).await.unwrap_err().status(), Some(status), "{call:?}");
        }
    }
    for call in [Call::Nack, Call::Status, Call::Activity, Call::Completion] {
        platform.fault(call, Fault::Flood(200, GIB));
        assert!(ask(&client, call).await.is_ok(), "{call:?}: what was accepted stays accepted");
    }
}

/// Memory of this process in KiB: the peak, which no later release can hide.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_gigabyte_costs_no_more_memory_than_the_limit() {
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    platform.fault(Call::Poll, Fault::Flood(200, 10 << 20));
    assert!(ask(&client, Call::Poll).await.is_err());
    let before = peak_kib();
    for _ in 0..8 {
        platform.fault(Call::Poll, Fault::Flood(200, 1 << 30));
        assert!(ask(&client, Call::Poll).await.is_err());
    }
    let grown = peak_kib() - before;
    assert!(grown < 64 * 1024, "{grown} KiB for bodies of a gigabyte");
}

#[tokio::test]
async fn no_redirect_is_followed_and_its_target_gets_no_bearer() {
    let (platform, elsewhere) = (FakePlatform::start().await, FakePlatform::start().await);
    let client = client(&platform);
    for call in Call::ALL {
        for status in [301, 302, 303, 307, 308] {
            for target in [format!("{}/api/workers/register", elsewhere.url()), "/api/workers/w1/poll".to_owned()] {
                let before = platform.requests().len();
                platform.fault(call, Answer::html(status, "moved").header("location", &target));
                let error = ask(&client, call).await.unwrap_err();
                assert_eq!((error.status(), error.is_retryable()), (Some(status), true));
                assert!(error.hint().unwrap().contains("http://127.0.0.1:"), "{error:?}");
                assert_eq!(platform.requests().len(), before + 1, "not followed on the same host either");
            }
        }
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (value, expected) in [
        ("7", Some(7)),
        ("0", Some(0)),
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("18446744073709551616", None),
        ("9999999999", Some(86_400)),
        ("soon", None),
    ] {
        for status in [429, 503] {
            for call in Call::ALL {
                platform.fault(call, Answer::json(status, "").header("date", date).header("retry-after", value));
                let error = ask(&client, call).await.unwrap_err();
                assert_eq!(error.retry_after().map(|wait| wait.as_secs()), expected, "{call:?} {value}");
            }
        }
    }
}

#[tokio::test]
async fn an_identity_that_could_never_be_used_is_refused_at_once() {
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    for worker in ["", ".", "..", &"w".repeat(100_000)] {
        let body = serde_json::json!({"workerId": worker, "runtimeToken": "t"}).to_string();
        platform.fault(Call::Register, Answer::json(200, body));
        assert!(matches!(ask(&client, Call::Register).await, Err(ClientError::Decode { .. })), "worker {worker:?}");
    }
    for secret in ["a\nb", "a\0b", "a\r\nx-evil: 1", &"t".repeat(100_000)] {
        for call in [Call::Register, Call::RefreshToken] {
            let body = serde_json::json!({"workerId": "w1", "runtimeToken": secret}).to_string();
            platform.fault(call, Answer::json(200, body));
            assert!(matches!(ask(&client, call).await, Err(ClientError::Decode { .. })), "{call:?} {secret:?}");
        }
    }
}

#[tokio::test]
async fn one_bad_item_of_a_poll_never_costs_its_neighbours() {
    let platform = FakePlatform::start().await;
    let client = client(&platform);
    let deep = format!("{{\"sessionId\":\"deep\",\"stageLifecycle\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let surrogate = r#"{"sessionId":"half","title":"\ud800"}"#;
    let good = r#"{"sessionId":"good"}"#;
    for (name, tail) in [
        ("deep inbox", format!("\"inboxMessages\":{{\"s\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000))),
        ("half a surrogate in the inbox", r#""inboxMessages":{"s":"\ud800"}"#.to_owned()),
        (
            "wrong types",
            r#""claimedSessionIds":{"a":1},"hasInboxMessages":"x","inboxMessages":[],"preClaimed":true"#.to_owned(),
        ),
        ("unknown fields", r#""gitCredentials":[{"token":"x"}],"next":null"#.to_owned()),
    ] {
        let body = format!("{{\"work\":[{deep},{surrogate},null,7,{good}],{tail}}}");
        platform.fault(Call::Poll, Answer::json(200, body));
        let answer = client.poll(&token(), "w1", None).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let raws: Vec<_> = answer.work.iter().map(|raw| raw.get()).collect();
        assert_eq!(raws, [deep.as_str(), surrogate, "null", "7", good], "{name}");
    }
    // One item that is not even UTF-8 is broken by itself alone.
    let mut body = br#"{"preClaimed":true,"work":[{"sessionId":"bad","title":""#.to_vec();
    body.extend_from_slice(b"\xff\xfe\"},");
    body.extend_from_slice(format!("{good}]}}").as_bytes());
    platform.fault(Call::Poll, Answer::json(200, body));
    let answer = client.poll(&token(), "w1", None).await.unwrap();
    assert_eq!((answer.work.len(), answer.work[1].get()), (2, good));
}
