-- Size of the work item, so that a claim can be bounded by bytes without reading them.
ALTER TABLE sessions ADD COLUMN item_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE sessions
SET item_bytes = ifnull((SELECT length(CAST(item AS BLOB)) FROM session_items i WHERE i.seq = sessions.seq), 0);

-- What the last host to refuse it said.
ALTER TABLE sessions ADD COLUMN requeue_detail TEXT;

-- Sessions that a host ran of its own at its last beat; they take slots, too.
ALTER TABLE workers ADD COLUMN foreign_count INTEGER NOT NULL DEFAULT 0;

-- Who refused what: the session is not offered to that worker until `hidden_until`, later each time. `due_at` of a
-- session is about its claim alone from here on.
CREATE TABLE refusals (
    session_seq  INTEGER NOT NULL REFERENCES sessions (seq) ON DELETE CASCADE,
    worker_id    TEXT NOT NULL,
    -- Refusals in a row.
    streak       INTEGER NOT NULL,
    -- Whether the last one was for reasons of the host.
    host_fault   INTEGER NOT NULL,
    -- NULL once the worker has been told that it is over.
    hidden_until INTEGER,
    PRIMARY KEY (session_seq, worker_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX refusals_hidden ON refusals (hidden_until) WHERE hidden_until IS NOT NULL;
CREATE INDEX refusals_streak ON refusals (worker_id) WHERE host_fault = 1 AND streak > 0;

UPDATE sessions SET due_at = NULL WHERE status = 'pending';
ALTER TABLE sessions DROP COLUMN refused_by;

-- A worker that accepts a session has got over whatever kept it from taking others.
CREATE TRIGGER sessions_accepted AFTER UPDATE OF accept_until ON sessions
WHEN OLD.accept_until IS NOT NULL AND NEW.accept_until IS NULL AND (NEW.holder IS NOT NULL OR NEW.status = 'completed')
BEGIN
    UPDATE refusals SET streak = 0 WHERE worker_id = NEW.worker_id AND host_fault = 1 AND streak > 0;
END;

-- What the removal of old sessions walks along.
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
