-- The last claim that ended otherwise than by a report of its owner, who may not know of it. 0: none.
ALTER TABLE sessions ADD COLUMN released_attempt INTEGER NOT NULL DEFAULT 0;
-- A claim follows only upon one that was taken away, and a session is queued under the number of that.
UPDATE sessions SET released_attempt = CASE status WHEN 'pending' THEN attempt ELSE max(0, attempt - 1) END;
