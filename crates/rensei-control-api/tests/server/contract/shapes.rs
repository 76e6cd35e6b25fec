//! The bodies of the matrix. These are written down from what clients of the predecessor rely on, and owe nothing to our
//! own types. What this host says beyond that is named after it.

use serde_json::{Value, json};

/// `shape` with further fields.
fn with(mut shape: Value, more: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut shape, more) else { panic!("objects") };
    fields.extend(more);
    shape
}

pub(super) fn action() -> Value {
    json!({"ok": "bool", "message": "word"})
}

/// Any refusal.
pub(super) fn refused() -> Value {
    json!({"error": "word", "hint*": "word", "code*": "word", "status*": "word", "sessionId*": "string"})
}

/// A refusal that has these fields besides.
pub(super) fn refused_with(fields: Value) -> Value {
    with(refused(), fields)
}

fn organization() -> Value {
    json!({"name*": "string", "file": "string", "projectsAllowed": "int", "activeSessions": "int", "leaving*": "bool",
        "configError*": "string", "ignoredKeys*": ["word"], "registration": registration()})
}

fn registration() -> Value {
    json!({"state": "=local|connecting|registered|refused|unreachable", "url*": "string", "workerId*": "string",
        "lastError*": "string", "lastHeartbeatAt*": "instant", "clockSkewSeconds*": "int", "suspended*": "string"})
}

/// What status and doctor say besides.
fn condition() -> Value {
    json!({"registration": registration(), "restartNeeded*": ["word"], "incident*": "word",
        "organizations*": [organization()]})
}

pub(super) fn status() -> Value {
    let seed = json!({"status": "=ready|draining|paused|stopped|updating", "version": "word", "machineId": "string",
        "pid": "int", "uptimeSeconds": "int", "activeSessions": "int", "maxSessions": "int", "projectsAllowed": "int",
        "timestamp": "time", "update?": update()});
    with(seed, condition())
}

/// The result that the predecessor's package has, and what this host says besides.
fn update() -> Value {
    let seed = json!({"updated": "bool", "version": "word", "reason": "string"});
    with(seed, json!({"outcome": "=started|no-op|refused|failed|replaced", "at": "time"}))
}

pub(super) fn doctor() -> Value {
    let seed = json!({"state": "=stopped|starting|running|paused|draining|updating", "version": "word",
        "configLoaded": "bool", "machineId": "string", "workerId": "string", "projectCount": "int",
        "orchestratorUrl": "string", "heartbeat": "bool", "timestamp": "time"});
    with(seed, condition())
}

fn capacity() -> Value {
    json!({"maxConcurrentSessions": "int", "maxVCpuPerSession?": "int", "maxMemoryMbPerSession?": "int",
        "reservedVCpu?": "int", "reservedMemoryMb?": "int"})
}

/// `stats`; the other fields when they were asked for.
pub(super) fn stats(pool_asked: bool, by_machine_asked: bool) -> Value {
    let reported = json!({"status?": "=idle|busy|draining|unregistered|paused|running|stopped|starting|updating",
        "lastHeartbeatAt?": "instant", "heartbeatRunning?": "bool", "pollRunning?": "bool"});
    let each = json!([{"name*": "word", "activeSessions": "int", "workerId*": "word", "registration": reported.clone(),
        "allowedProjects*": ["word"]}]);
    let mut stats = json!({"capacity": capacity(), "activeSessions": "int", "queueDepth": "=0", "timestamp": "time",
        "workerId?": "word", "registration": reported, "allowedProjects?": ["word"], "organizations": each});
    if pool_asked {
        stats["pool"] = pool();
    }
    if by_machine_asked {
        stats["byMachine"] = json!([{"id": "string", "region": "string", "status": "string", "version": "word",
            "activeSessions": "int", "capacity": capacity(), "uptimeSeconds": "int", "lastSeenAt": "time"}]);
    }
    stats
}

pub(super) fn heartbeat() -> Value {
    json!({"workerId": "string", "hostname": "string", "status": "=idle|busy|draining|", "activeSessions": "int",
        "maxSessions": "int", "region?": "word", "sentAt": "string", "allowlistHash?": "sha256",
        "allowlist?": [{"id": "word", "repository": "word"}], "organizations*": ["object"]})
}

pub(super) fn changed() -> Value {
    json!({"ok": "=true", "key": "string", "value": "string", "message": "=applied"})
}

pub(super) fn not_changed() -> Value {
    refused_with(json!({"ok": "=false", "key": "string", "value": "string", "message": "word"}))
}

pub(super) fn capabilities() -> Value {
    json!({"git*": "string", "provides": [{"kind": "=native|npm|python-pip|http|mcp-server|host-binary|workarea"}], "timestamp": "time"})
}

pub(super) fn handle() -> Value {
    json!({"sessionId": "word", "pid": "int", "acceptedAt": "time",
        "state": "=starting|running|completed|failed|terminated", "resources*": "object"})
}

/// Everything that a control plane may say of a session.
pub(super) fn detail() -> Value {
    let texts = [
        "issueId",
        "issueIdentifier",
        "linearSessionId",
        "providerSessionId",
        "projectName",
        "organizationId",
        "repository",
        "ref",
        "workType",
        "promptContext",
        "body",
        "title",
        "mentionContext",
        "parentContext",
        "branch",
        "workerId",
        "authToken",
        "platformUrl",
        "stagePrompt",
        "stageId",
        "stageSourceEventId",
    ];
    let mut shape = json!({"sessionId": "word", "stageLifecycle?": "object",
        "resolvedProfile?": {"provider?": "word", "runner?": "word", "model?": "word", "effort?": "word",
            "credentialId?": "word", "providerConfig?": "object"},
        "modelProfile?": {"id": "word", "providerId": "word", "model": "word", "mode?": "word", "context?": "int",
            "maxOutputTokens?": "int"},
        "stageBudget?": {"maxDurationSeconds?": "int", "maxSubAgents?": "int", "maxTokens?": "int"},
        "attempt?": "int", "git*": "object"});
    for text in texts {
        shape[format!("{text}?")] = json!("word");
    }
    shape
}

pub(super) fn record() -> Value {
    let texts = ["organization", "reason"];
    let mut shape = json!({"sessionId": "word", "state": "=starting|running|completed|failed|terminated", "pid": "int",
        "projectId": "string", "repository": "word", "ref": "string", "title": "string", "acceptedAt": "instant",
        "resources*": "object", "endedAt?": "instant",
        "exitCode?": "int", "signal*": "int", "adopted": "bool", "notes*": ["word"], "reported": "bool", "outcome*": "object"});
    for text in texts {
        shape[format!("{text}*")] = json!("string");
    }
    shape
}

pub(super) fn stopped() -> Value {
    json!({"sessionId": "word", "stopped": "bool", "mode*": "=operator-cancelled", "reason*": "word"})
}

pub(super) fn acquired() -> Value {
    json!({"sessionId": "word", "path": "word", "repository": "word", "ref": "word", "commit": "word", "branch": "word",
        "acquirePath": "=pool-warm|pool-fresh|cold", "durationMs": "int", "notes*": ["word"]})
}

pub(super) fn pool() -> Value {
    let member = json!({"id": "word", "repository": "word", "ref": "string", "toolchainKey": "string",
        "status": "=warming|ready|acquired|releasing|invalid|retired", "cleanStateChecksum": "sha256",
        "acquiredBy?": "word", "createdAt": "time", "lastAcquiredAt?": "time", "diskUsageMb*": "int"});
    json!({"members": [member], "totalMembers": "int", "readyMembers": "int", "acquiredMembers": "int",
        "warmingMembers": "int", "invalidMembers": "int", "totalDiskUsageMb": "int", "timestamp": "time"})
}

pub(super) fn evicted() -> Value {
    json!({"evicted": "int", "message": "word", "correlationId*": "word"})
}

pub(super) fn provider() -> Value {
    json!({"id": "word", "name": "word", "version": "word", "family": "=agent-runtime", "scope": "=global",
        "status": "=ready|degraded|unhealthy|inactive", "statusReason*": "word", "source": "=bundled|registry|local",
        "trust": "=signed-verified|signed-unverified|unsigned", "signerId*": "word", "signedAt*": "time",
        "manifestOk": "bool", "capabilities": "object"})
}

pub(super) fn providers() -> Value {
    json!({"providers": [provider()], "partialCoverage": "=true", "coveredFamilies": ["=agent-runtime"]})
}

fn decision() -> Value {
    let rejected = json!({"providerId": "word", "dimension": "=sandbox|llm",
        "reason": "=capability-filter|tenant-policy|capacity-filter|score-loss", "detail?": "word"});
    json!({"sessionId": "word", "chosenSandbox": "word", "chosenLLM": "word", "rejectedCandidates?": [rejected],
        "score": "number", "estimatedCostCents*": "number", "estimatedLatencyMs*": "number", "decidedAt": "instant"})
}

pub(super) fn routing() -> Value {
    json!({"config": {
        "capabilityFilters": [{"field": "word", "op": "=eq|in|lte|gte", "value": "word"}],
        "weights": {"cost": "number", "latency": "number"},
        "sandboxProviders": [{"providerId": "word", "alpha": "number", "beta": "number", "recentScore?": "number",
            "recentCostCents*": "number", "recentLatencyMs?": "number", "selectionCount": "int"}],
        "llmProviders": [{"providerId": "word", "model*": "word", "alpha": "number", "beta": "number",
            "recentScore?": "number", "selectionCount": "int"}],
        "recentDecisions": [decision()],
        "capturedAt": "instant",
    }})
}

pub(super) fn explained() -> Value {
    let eliminated = json!({"providerId": "word",
        "reason": "=capability-filter|tenant-policy|capacity-filter|score-loss", "detail?": "word"});
    json!({"sessionId": "word", "decision": decision(), "trace": [{"step": "int",
        "phase": "=capability-filter|tenant-policy|capacity-filter|score", "dimension": "=sandbox|llm",
        "remaining": ["word"], "eliminated?": [eliminated], "note?": "word"}]})
}

/// A kit in a list. `signed` ones say when.
pub(super) fn kit() -> Value {
    let mut shape = json!({"id": "word", "name": "string", "version": "string", "priority?": "int",
        "status": "=active|disabled|error", "source": "=local|bundled|rensei|tessl|agentskills|community",
        "scope": "=project|org|tenant|global", "trust": "=signed-verified|signed-unverified|unsigned",
        "detectFiles?": ["word"], "signedAt?": "time", "path*": "word", "shadows*": ["word"], "warnings*": ["word"]});
    for text in ["description", "author", "authorId", "license", "homepage", "repository", "signerId", "detectExec"] {
        shape[format!("{text}?")] = json!("word");
    }
    for provided in ["Commands", "Prompts", "Tools", "McpServers", "Skills", "Agents", "A2aSkills", "Extractors"] {
        shape[format!("provides{provided}")] = json!("bool");
    }
    shape
}

pub(super) fn kit_in_full() -> Value {
    let words = [
        "supportedOs",
        "supportedArch",
        "requiresCapabilities",
        "conflictsWith",
        "composesWith",
        "mcpServerNames",
        "skillFiles",
        "agentIds",
        "a2aSkillIds",
        "extractorNames",
    ];
    let mut shape = with(
        kit(),
        json!({"requiresRensei?": "word", "order?": "word", "detectToolchain?": "object",
        "commands?": "object"}),
    );
    for name in words {
        shape[format!("{name}?")] = json!(["word"]);
    }
    json!({"kit": shape})
}

pub(super) fn signature() -> Value {
    json!({"kitId": "word", "trust": "=signed-verified|signed-unverified|unsigned", "signerId?": "word",
        "signedAt?": "time", "ok": "=true", "details?": "word"})
}

pub(super) fn installed() -> Value {
    json!({"kit": kit(), "message": "=kit installed from git source", "warnings*": ["word"]})
}

pub(super) fn source() -> Value {
    let names = "=local|bundled|rensei|tessl|agentskills|community";
    json!({"name": names, "url": "string", "enabled": "bool", "priority": "int", "kind": names})
}

pub(super) fn kit_settings() -> Value {
    json!({"scanPaths": ["word"], "trustMode": "=permissive|signed-by-allowlist|attested", "issuerSet": ["word"],
        "trustRoot*": "word"})
}

const STATUS: &str = "=warming|ready|acquired|releasing|invalid|retired|archived";

/// The lists of workareas.
pub(super) fn workareas() -> Value {
    let both = json!({"id": "word", "providerId": "string", "status": STATUS, "sessionId?": "word",
        "projectId?": "word", "ref?": "word", "repository?": "word"});
    let active = with(
        both.clone(),
        json!({"kind": "=active", "acquiredAt?": "instant", "releasedAt*": "instant",
        "ageSeconds*": "int", "disposition*": "word"}),
    );
    let archived = with(
        both,
        json!({"kind": "=archived", "createdAt?": "instant", "sizeBytes?": "int",
        "sourceProvider?": "word", "disposition?": "word"}),
    );
    json!({"active": [active], "archived": [archived], "inProgress*": ["object"]})
}

/// One workarea, with what is said of this kind.
fn workarea(kind: &str, more: Value) -> Value {
    let both = json!({"id": "word", "kind": kind, "providerId": "string", "status": STATUS, "sessionId?": "word",
        "projectId?": "word", "ref?": "word", "repository?": "word", "cleanStateChecksum*": "word",
        "mode*": "=exclusive|shared", "acquirePath*": "=pool-warm|pool-fresh|cold", "ownerSession*": "word",
        "notes*": ["word"]});
    json!({"workarea": with(both, more)})
}

pub(super) fn live_workarea() -> Value {
    workarea("=active", json!({"path*": "word", "acquiredAt?": "instant", "releasedAt*": "instant"}))
}

pub(super) fn restored_workarea() -> Value {
    workarea(
        "=active",
        json!({"status": "=ready", "path": "word", "acquiredAt": "instant", "archiveLocation": "word",
        "manifest": "object", "toolchain?": "object", "excluded*": ["object"]}),
    )
}

pub(super) fn archived_workarea() -> Value {
    workarea(
        "=archived",
        json!({"status": "=archived", "path": "word", "archiveLocation": "word", "manifest": "object",
        "toolchain?": "object", "acquiredAt*": "instant", "releasedAt*": "instant", "excluded*": ["object"]}),
    )
}

pub(super) fn pruned() -> Value {
    json!({"removed": [{"id": "word", "sizeBytes": "int"}], "skipped": ["object"], "freedBytes": "int", "dryRun": "bool"})
}

pub(super) fn difference() -> Value {
    json!({"path": "word", "pathEscaped*": "word", "status": "=added|removed|modified", "sizeA?": "int",
        "sizeB?": "int", "modeA?": "word", "modeB?": "word", "hashA?": "sha256", "hashB?": "sha256"})
}

pub(super) fn differences() -> Value {
    json!({"workareaA": "word", "workareaB": "word", "added": "int", "removed": "int", "modified": "int",
        "total": "int"})
}

/// What happens on a host, by its name.
pub(super) fn event(name: &str) -> Value {
    let event = json!({"id": "word", "at": "instant", "type": format!("={name}")});
    let what = match name {
        "host.state" => json!({"status": "=ready|draining|paused|stopped|updating"}),
        "registration.changed" => json!({"organization?": "word", "registration": registration()}),
        "host.update" => json!({"update": update()}),
        "session.started" | "session.ended" => json!({"session": record()}),
        "workarea.acquired" => json!({"workarea": acquired()}),
        "workarea.released" => json!({"sessionId": "word"}),
        _ => json!({}),
    };
    with(event, what)
}
