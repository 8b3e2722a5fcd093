-- Times are microseconds since 1970. Ids of invocations are 16 bytes: look at them with hex(id).

-- state: 0 queued, 1 running, 2 succeeded, 3 dead letter, 4 failed synchronous call, 5 a pack of synchronous calls that
-- succeeded: id is the greatest of their ids and event the least, attempt how many,
-- attempts their receipts in JSON.
-- due: queued, when the next attempt falls due; running, when the lease runs out.
-- bytes: of the event.
-- fence: grows with every lease. attempt: within the present set of attempts; base: attempts of the sets before, from
-- which it was redriven. attempts: the attempt records, a JSON array, numbered from 1 over all sets.
CREATE TABLE invocations (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    service TEXT NOT NULL,
    state INTEGER NOT NULL,
    came_by TEXT NOT NULL,
    event TEXT NOT NULL,
    source TEXT NOT NULL,
    subject TEXT,
    origin TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    due INTEGER,
    finished INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    base INTEGER NOT NULL DEFAULT 0,
    attempts TEXT NOT NULL DEFAULT '[]',
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX waiting ON invocations (service, due) WHERE state = 0;
CREATE INDEX leased ON invocations (service, due) WHERE state = 1;
CREATE INDEX by_service ON invocations (service);
CREATE INDEX by_origin ON invocations (origin);
CREATE INDEX dead ON invocations (service) WHERE state = 3;
CREATE INDEX buried ON invocations (finished) WHERE state = 3;
CREATE INDEX ended ON invocations (finished) WHERE state IN (2, 4, 5);
CREATE INDEX packs ON invocations (id) WHERE state = 5;

-- The event in CBOR, in a table of its own so that a change of state does not move it.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY REFERENCES invocations ON DELETE CASCADE,
    event BLOB NOT NULL
) STRICT;

-- One row for each ended attempt that wrote something; the log in JSON.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL REFERENCES invocations ON DELETE CASCADE,
    number INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    log TEXT NOT NULL
) STRICT;
CREATE INDEX logs_of ON logs (seq);

-- A join is open while closed is null. Its id is its generation, and never used again.
CREATE TABLE joins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    grp TEXT NOT NULL,
    n INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    closes INTEGER,
    closed INTEGER
) STRICT;
CREATE UNIQUE INDEX open_joins ON joins (service, grp) WHERE closed IS NULL;
CREATE INDEX closing ON joins (service, closes) WHERE closed IS NULL AND closes IS NOT NULL;
CREATE INDEX closed_joins ON joins (closed) WHERE closed IS NOT NULL;

-- The event goes when the join closes; the key stays, and knows a duplicate.
CREATE TABLE join_parts (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    join_id INTEGER NOT NULL REFERENCES joins ON DELETE CASCADE,
    event BLOB
) STRICT;
CREATE INDEX parts_of ON join_parts (join_id);

-- How many stand where, kept by triggers: counting a million rows is slow. State 9: parts in open joins.
CREATE TABLE depths (
    service TEXT NOT NULL,
    state INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (service, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER count_added AFTER INSERT ON invocations WHEN NEW.state IN (0, 1, 3) BEGIN
    INSERT INTO depths VALUES (NEW.service, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER count_moved AFTER UPDATE OF state ON invocations WHEN OLD.state <> NEW.state BEGIN
    UPDATE depths SET n = n - 1 WHERE service = OLD.service AND state = OLD.state;
    INSERT INTO depths SELECT NEW.service, NEW.state, 1 WHERE NEW.state IN (0, 1, 3)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER count_gone AFTER DELETE ON invocations WHEN OLD.state IN (0, 1, 3) BEGIN
    UPDATE depths SET n = n - 1 WHERE service = OLD.service AND state = OLD.state;
END;
CREATE TRIGGER count_parts AFTER UPDATE OF n, closed ON joins BEGIN
    INSERT INTO depths
        VALUES (NEW.service, 9, iif(NEW.closed IS NULL, NEW.n, 0) - iif(OLD.closed IS NULL, OLD.n, 0))
        ON CONFLICT DO UPDATE SET n = n + excluded.n;
END;

CREATE TABLE totals (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO totals VALUES ('log_bytes', 0), ('receipt_bytes', 0);
CREATE TRIGGER log_added AFTER INSERT ON logs BEGIN
    UPDATE totals SET n = n + NEW.bytes WHERE name = 'log_bytes';
END;
CREATE TRIGGER log_gone AFTER DELETE ON logs BEGIN
    UPDATE totals SET n = n - OLD.bytes WHERE name = 'log_bytes';
END;

-- What ended invocations take, about: 400 bytes for what every row has, with its indexes.
CREATE TRIGGER receipt_added AFTER INSERT ON invocations WHEN NEW.state IN (2, 4, 5) BEGIN
    UPDATE totals SET n = n + 400 + length(NEW.attempts) WHERE name = 'receipt_bytes';
END;
CREATE TRIGGER receipt_ended AFTER UPDATE OF state ON invocations WHEN NEW.state = 2 BEGIN
    UPDATE totals SET n = n + 400 + NEW.bytes + length(NEW.attempts) WHERE name = 'receipt_bytes';
END;
CREATE TRIGGER receipt_shrunk AFTER UPDATE OF attempts ON invocations WHEN NEW.state = 5 BEGIN
    UPDATE totals SET n = n + length(NEW.attempts) - length(OLD.attempts) WHERE name = 'receipt_bytes';
END;
CREATE TRIGGER receipt_gone AFTER DELETE ON invocations WHEN OLD.state IN (2, 4, 5) BEGIN
    UPDATE totals SET n = n - 400 - OLD.bytes - length(OLD.attempts) WHERE name = 'receipt_bytes';
END;
