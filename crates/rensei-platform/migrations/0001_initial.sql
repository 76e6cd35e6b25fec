-- Times are Unix milliseconds of the control plane's clock.

CREATE TABLE orgs (
    id         TEXT PRIMARY KEY,
    slug       TEXT NOT NULL UNIQUE,
    -- JSON object; `runner_default` names the lane that new sessions are stamped with.
    features   TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    org_id     TEXT NOT NULL REFERENCES orgs (id),
    slug       TEXT NOT NULL,
    repository TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    UNIQUE (org_id, slug)
) STRICT;

-- Tokens are known by the SHA-256 of their text only.
CREATE TABLE credentials (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('registration', 'api', 'worker')),
    org_id     TEXT NOT NULL REFERENCES orgs (id),
    -- NULL: the whole organisation.
    project_id TEXT REFERENCES projects (id),
    prefix     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE workers (
    id              TEXT PRIMARY KEY,
    org_id          TEXT NOT NULL REFERENCES orgs (id),
    project_id      TEXT REFERENCES projects (id),
    registration_id TEXT NOT NULL,
    machine_id      TEXT NOT NULL DEFAULT '',
    hostname        TEXT NOT NULL DEFAULT '',
    version         TEXT NOT NULL DEFAULT '',
    runner          TEXT NOT NULL,
    capacity        INTEGER NOT NULL,
    draining        INTEGER NOT NULL DEFAULT 0,
    provides        TEXT NOT NULL DEFAULT '[]',
    -- Digest and content of the host's allowlist as last reported; '' and NULL: never reported.
    allowlist_hash  TEXT NOT NULL DEFAULT '',
    allowlist       TEXT,
    registered_at   INTEGER NOT NULL,
    last_beat_at    INTEGER NOT NULL
) STRICT;

-- One registration per machine and tenant: registering again keeps the identity.
CREATE UNIQUE INDEX workers_machine ON workers (org_id, ifnull(project_id, ''), machine_id) WHERE machine_id <> '';

CREATE TABLE sessions (
    seq                INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,
    org_id             TEXT NOT NULL REFERENCES orgs (id),
    project_id         TEXT NOT NULL REFERENCES projects (id),
    runner             TEXT NOT NULL,
    status             TEXT NOT NULL,
    -- Place in the queue; kept for life, so that a session that comes back is where it was.
    score              INTEGER NOT NULL,
    priority           INTEGER NOT NULL,
    attempt            INTEGER NOT NULL DEFAULT 0,
    lease_losses       INTEGER NOT NULL DEFAULT 0,
    unaccepted         INTEGER NOT NULL DEFAULT 0,
    requeue_reason     TEXT,
    -- Last owner, for people. `holder` is the owner of a live claim and NULL otherwise.
    worker_id          TEXT,
    holder             TEXT,
    lease_until        INTEGER,
    accept_until       INTEGER,
    -- When the reaper has to look: the earlier of the two above, or the end of a refusal.
    due_at             INTEGER,
    -- A worker that refused the session is not offered it again until `due_at`.
    refused_by         TEXT,
    stop_requested     INTEGER NOT NULL DEFAULT 0,
    stop_reason        TEXT,
    stop_requested_at  INTEGER,
    repository         TEXT NOT NULL,
    ref                TEXT NOT NULL DEFAULT '',
    title              TEXT NOT NULL DEFAULT '',
    provider           TEXT NOT NULL DEFAULT '',
    worktree_path      TEXT,
    provider_session   TEXT,
    error              TEXT,
    summary            TEXT,
    result             TEXT,
    total_cost_usd     REAL,
    input_tokens       INTEGER,
    output_tokens      INTEGER,
    activity_count     INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    claimed_at         INTEGER,
    started_at         INTEGER,
    ended_at           INTEGER
) STRICT;

-- What the claim of a project's worker and of an organisation's worker walk along.
CREATE INDEX sessions_queue_project ON sessions (project_id, runner, score) WHERE status = 'pending';
CREATE INDEX sessions_queue_org ON sessions (org_id, runner, score) WHERE status = 'pending';
CREATE INDEX sessions_holder ON sessions (holder) WHERE holder IS NOT NULL;
CREATE INDEX sessions_due ON sessions (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX sessions_recent ON sessions (org_id, project_id, seq);

-- The work item as workers get it. Apart from `sessions`, so that a status change does not rewrite a long prompt.
CREATE TABLE session_items (
    seq  INTEGER PRIMARY KEY REFERENCES sessions (seq),
    item TEXT NOT NULL
) STRICT;

CREATE TABLE activities (
    session_seq INTEGER NOT NULL REFERENCES sessions (seq),
    id          INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    activity    TEXT NOT NULL,
    PRIMARY KEY (session_seq, id)
) STRICT, WITHOUT ROWID;
