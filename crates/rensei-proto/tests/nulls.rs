//! What other programs write for nothing.

#![expect(clippy::unwrap_used, reason = "tests")]

use rensei_proto::control::{
    ArchiveRequest, Doctor, DrainRequest, EvictPoolRequest, KitInstallRequest, PostSession, PruneRequest,
    RestoreRequest, SessionView, SetCapacity, Status, StopRequest,
};
use rensei_proto::operator::CreateSession;
use rensei_proto::outcome::{Outcome, StopNotice};
use rensei_proto::platform::{
    ActivityRequest, ClaimResponse, CompletionRequest, HeartbeatRequest, HeartbeatResponse, LockRefreshResponse,
    PollItem, PollResponse, RegisterRequest, RegisterResponse, StatusRequest,
};
use rensei_proto::{ErrorBody, SessionDetail, lenient};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Paths of all fields of `value`, at any depth.
fn fields(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let below = |(name, value): (&String, &Value)| {
                let place = format!("{at}/{name}");
                let deeper = if lenient::OPAQUE.contains(&name.as_str()) { Vec::new() } else { fields(value, &place) };
                [vec![place], deeper].concat()
            };
            map.iter().flat_map(below).collect()
        }
        Value::Array(list) => list.iter().enumerate().flat_map(|(i, v)| fields(v, &format!("{at}/{i}"))).collect(),
        _ => Vec::new(),
    }
}

/// What `T` makes of a document.
fn read<T: Serialize + DeserializeOwned>(document: &Value) -> Option<Value> {
    let text = serde_json::to_vec(document).unwrap();
    lenient::from_slice::<T>(&text).ok().map(|read| serde_json::to_value(read).unwrap())
}

/// A whole example of a document, every field of it nulled in turn.
fn whole<T: Serialize + DeserializeOwned>(example: Value) {
    let read_whole = read::<T>(&example).unwrap();
    let kind = std::any::type_name::<T>();
    for field in fields(&example, "") {
        assert!(read_whole.pointer(&field).is_some(), "{kind} does not know {field}");
        let (parent, name) = field.rsplit_once('/').unwrap();
        let mut nulled = example.clone();
        *nulled.pointer_mut(&field).unwrap() = Value::Null;
        let mut absent = example.clone();
        absent.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        assert_eq!(read::<T>(&nulled), read::<T>(&absent), "{kind} with {field} nulled");
    }
}

fn profile() -> Value {
    json!({"provider": "shell", "runner": "go", "model": "m", "effort": "high", "credentialId": "c",
        "providerConfig": {"command": "true"}})
}

/// What a detail, an item and a post have in common.
fn work(more: Value) -> Value {
    let common = json!({"sessionId": "s", "repository": "r", "ref": "main", "title": "t", "promptContext": "p",
        "body": "b", "branch": "x", "workType": "qa", "issueId": "i", "issueIdentifier": "I-1",
        "resolvedProfile": profile(), "stagePrompt": "s",
        "modelProfile": {"id": "m", "providerId": "shell", "model": "m", "mode": "x", "context": 1,
            "maxOutputTokens": 2},
        "stageBudget": {"maxDurationSeconds": 1, "maxSubAgents": 2, "maxTokens": 3}});
    with(common, &more)
}

fn from_afar() -> Value {
    json!({"attempt": 2, "linearSessionId": "l", "providerSessionId": "p", "projectName": "n",
        "organizationId": "o", "mentionContext": "m", "parentContext": "p", "stageId": "s",
        "stageLifecycle": {"a": 1}, "stageSourceEventId": "e"})
}

fn with(mut one: Value, other: &Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

fn spec() -> Value {
    json!({"resources": {"vCpu": 2, "memoryMb": 512}, "env": {"A": "1", "B": "2"}, "maxDurationSeconds": 60})
}

#[test]
fn null_is_the_same_as_nothing_in_work() {
    whole::<PostSession>(work(spec()));
    whole::<SessionDetail>(work(with(
        json!({"git": {"credentialHelper": "h", "sshKey": "k", "token": "t"}, "workerId": "w", "authToken": "t",
            "platformUrl": "http://h"}),
        &from_afar(),
    )));
    let item = work(with(with(json!({"priority": 2, "queuedAt": 7}), &spec()), &from_afar()));
    whole::<PollItem>(item.clone());
    whole::<PollResponse>(json!({"work": [item], "preClaimed": true, "claimedSessionIds": ["s"],
        "hasInboxMessages": true, "inboxMessages": {"s": []},
        "gitCredentials": [{"token": "t", "cloneUrl": "u", "expiresAt": "e"}]}));
    whole::<CreateSession>(json!({"project": "p", "repository": "r", "ref": "m", "branch": "b", "title": "t",
        "prompt": "p", "workType": "qa", "priority": 1, "maxDurationSeconds": 2, "env": {"A": "1"},
        "resolvedProfile": profile()}));
}

#[test]
fn null_is_the_same_as_nothing_between_host_and_control_plane() {
    let entry = json!([{"id": "p", "repository": "r"}]);
    whole::<RegisterRequest>(json!({"machineId": "m", "hostname": "h", "capacity": 1, "maxConcurrency": 2,
        "maxAgents": 3, "version": "v", "runtime": "go", "provides": [{"kind": "native"}], "daemonProjects": entry}));
    whole::<RegisterResponse>(json!({"workerId": "w", "runtimeToken": "t", "runtimeJwt": "t",
        "runtimeTokenExpiresAt": "e", "expiresAt": "e", "heartbeatInterval": 30_000, "pollInterval": 5_000,
        "heartbeatIntervalSeconds": 30, "pollIntervalSeconds": 5, "extensions": ["long-poll"]}));
    whole::<HeartbeatRequest>(json!({"activeCount": 1, "activeSessions": 1, "maxSessions": 2, "status": "idle",
        "allowlistHash": "h", "allowlist": entry, "appliedMutations": ["a"],
        "mutationFailures": [{"id": "a", "error": "e"}], "sessions": [{"sessionId": "s", "attempt": 1}],
        "resumed": true}));
    whole::<HeartbeatResponse>(json!({"acknowledged": true, "serverTime": "t", "pendingWorkCount": 1,
        "hostStatus": {"status": "ok", "recommendedAction": "a", "candidatePoolIds": ["p"]},
        "pendingMutations": [{"id": "m", "op": "o", "params": {"a": 1}, "requestedAt": "t", "requestedBy": "b"}],
        "lostSessions": [{"sessionId": "s", "attempt": 1}]}));
    whole::<ClaimResponse>(json!({"claimed": true, "reason": "r", "session": {}, "work": {}}));
    whole::<LockRefreshResponse>(json!({"refreshed": true, "stop": true, "stopReason": "r"}));
    whole::<StatusRequest>(json!({"workerId": "w", "status": "failed", "attempt": 1, "providerSessionId": "p",
        "worktreePath": "w", "error": {"message": "m"}, "totalCostUsd": 1.5, "inputTokens": 1, "outputTokens": 2,
        "result": result()}));
    whole::<ActivityRequest>(json!({"workerId": "w", "attempt": 1, "activity": {"type": "action", "content": "c",
        "toolName": "t", "toolInput": {"a": 1}, "toolCategory": "c", "toolOutput": "o", "toolUseId": "u",
        "isError": true, "durationMs": 1, "providerName": "p", "timestamp": "t"}}));
    whole::<CompletionRequest>(json!({"workerId": "w", "attempt": 1, "summary": "s"}));
    whole::<ErrorBody>(json!({"error": "e", "code": "c", "hint": "h", "status": "s", "sessionId": "s"}));
}

fn result() -> Value {
    json!({"branch": "b", "commitSha": "c", "baseSha": "b", "pushed": true, "exitCode": 1, "signal": 9,
        "diff": {"filesChanged": 1, "insertions": 1, "deletions": 1,
            "files": [{"path": "p", "insertions": 1, "deletions": 1}]},
        "outputTail": ["l"]})
}

fn outcome() -> Value {
    json!({"version": 1, "sessionId": "s", "status": "failed", "providerName": "p", "worktreePath": "w",
        "failureMode": "f", "error": "e", "summary": "s", "result": result(), "startedAt": 1, "finishedAt": 2,
        "reported": true})
}

#[test]
fn null_is_the_same_as_nothing_on_the_machine() {
    whole::<Outcome>(outcome());
    whole::<StopNotice>(json!({"status": "stopped", "failureMode": "f", "reason": "r"}));
    whole::<DrainRequest>(json!({"timeoutSeconds": 1, "keepAlive": true}));
    whole::<StopRequest>(json!({"reason": "r"}));
    whole::<SetCapacity>(json!({"key": "k", "value": "1"}));
    whole::<EvictPoolRequest>(json!({"repoUrl": "r", "olderThanSeconds": 1}));
    whole::<ArchiveRequest>(json!({"reason": "r"}));
    whole::<RestoreRequest>(json!({"reason": "r", "intoSessionId": "s"}));
    whole::<PruneRequest>(json!({"ids": ["a"], "olderThanSeconds": 1, "keep": 1, "maxBytes": 1, "dryRun": true}));
    whole::<KitInstallRequest>(json!({"version": "v", "trustOverride": "t", "source": {"kind": "git", "url": "u"}}));
    whole::<SessionView>(json!({"sessionId": "s", "state": "failed", "pid": 1, "projectId": "p", "organization": "o",
        "repository": "r", "title": "t", "resources": {"vCpu": 1, "memoryMb": 1},
        "acceptedAt": "a", "endedAt": "e", "exitCode": 1, "signal": 9, "reason": "r", "notes": ["n"],
        "adopted": true, "reported": true, "outcome": outcome()}));
    // As a host of the other kind answers that has none.
    let host = json!({"status": "ready", "version": "v", "machineId": "m", "pid": 1, "uptimeSeconds": 1,
        "activeSessions": 0, "maxSessions": 1, "projectsAllowed": 0, "timestamp": "t", "organizations": null});
    assert_eq!(read::<Status>(&host), read::<Status>(&without(&host, "organizations")));
    let doctor = json!({"state": "running", "version": "v", "configLoaded": true, "machineId": "m", "workerId": "w",
        "projectCount": 1, "orchestratorUrl": "u", "heartbeat": true, "timestamp": "t", "registration": null,
        "restartNeeded": null});
    assert!(read::<Doctor>(&doctor).is_some());
}

fn without(document: &Value, field: &str) -> Value {
    let mut document = document.clone();
    document.as_object_mut().unwrap().remove(field).unwrap();
    document
}

#[test]
fn an_element_of_a_list_is_no_field() {
    // What is to be removed is never guessed from what could not be read.
    assert!(lenient::from_str::<PruneRequest>(r#"{"ids":[null]}"#).is_err());
    assert!(lenient::from_str::<PruneRequest>("null").is_err());
}

#[test]
fn an_error_names_what_is_really_wrong() {
    let error = |text: &str| lenient::from_str::<PostSession>(text).unwrap_err().to_string();
    assert!(error(r#"{"sessionId":null}"#).contains("missing field `sessionId`"));
    assert!(error(r#"{"sessionId":"s","ref":null,"title":7}"#).contains("integer `7`"));
    assert!(error(r#"{"sessionId":"s","title":7}"#).contains("line 1"));
    assert!(error(r#"{"sessionId":"s","env":null"#).contains("EOF"));
    let text = "{\"activity\":{\n\"type\":7,\"content\":null}}";
    let known = lenient::from_str::<ActivityRequest>(text).unwrap_err().to_string();
    assert!(known.contains("integer `7`") && known.contains("line 2"), "{known}");
}

#[test]
fn a_null_that_is_removed_takes_none_with_it_that_says_something() {
    let config = json!({"limit": null, "deep": [{"a": null}]});
    let posted = json!({"sessionId": "s", "title": null, "resolvedProfile": {"providerConfig": config}}).to_string();
    let posted = lenient::from_str::<PostSession>(&posted).unwrap();
    assert_eq!(Value::Object(posted.detail.resolved_profile.unwrap().provider_config), config);
}
