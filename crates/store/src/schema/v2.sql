-- What the user narrowed when deciding, such as permissions refused one by one.
ALTER TABLE approvals ADD COLUMN choice TEXT NOT NULL DEFAULT 'null';

-- 1 when the plugin itself tracks the transfer.
ALTER TABLE transfers ADD COLUMN plugin INTEGER NOT NULL DEFAULT 0;

-- A replacement names what it replaces. Same sender, chain and nonce: the chain includes at most one of them, so the
-- rule "one approval, one transaction" and "one nonce, one open transaction" are about those that replace nothing.
ALTER TABLE transactions ADD COLUMN replaces TEXT REFERENCES transactions (hash);
DROP INDEX transactions_approval;
DROP INDEX transactions_nonce;
CREATE UNIQUE INDEX transactions_approval ON transactions (approval_id)
    WHERE approval_id IS NOT NULL AND replaces IS NULL AND state <> 'replaced';
CREATE UNIQUE INDEX transactions_nonce ON transactions (chain_id, sender, nonce)
    WHERE replaces IS NULL AND state IN ('stored', 'broadcast', 'included', 'superseded');
CREATE INDEX transactions_sender ON transactions (chain_id, sender, nonce);

-- What a caller may ask of a solution. Replaced and revoked ones stay, as history.
CREATE TABLE caller_grants (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    caller     TEXT NOT NULL,
    solution   INTEGER NOT NULL REFERENCES solutions (id),
    caveats    TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX caller_grants_active ON caller_grants (caller, solution) WHERE revoked_at IS NULL;

-- What may pass without asking.
CREATE TABLE policies (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    caller     TEXT NOT NULL,
    solution   INTEGER NOT NULL REFERENCES solutions (id),
    rule       TEXT NOT NULL,
    state      TEXT NOT NULL,
    reason     TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX policies_caller ON policies (caller, solution);

-- What a policy let pass: written before the effect, ended after it.
CREATE TABLE reservations (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    policy      INTEGER NOT NULL REFERENCES policies (id),
    subject     TEXT NOT NULL,
    amount      TEXT NOT NULL,
    fee         TEXT NOT NULL,
    token       TEXT,
    state       TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    ended_at    INTEGER,
    detail      TEXT NOT NULL,
    UNIQUE (policy, subject)
) STRICT;
CREATE INDEX reservations_subject ON reservations (subject);
CREATE INDEX reservations_window ON reservations (policy, state, ended_at);

CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    solution   INTEGER NOT NULL REFERENCES solutions (id),
    name       TEXT NOT NULL,
    at_ms      INTEGER,
    block      INTEGER,
    data       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (solution, name)
) STRICT;
CREATE INDEX jobs_at ON jobs (at_ms) WHERE at_ms IS NOT NULL;

CREATE TABLE notices (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    solution   INTEGER REFERENCES solutions (id),
    level      TEXT NOT NULL,
    text       TEXT NOT NULL,
    action     TEXT,
    created_at INTEGER NOT NULL,
    is_read    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX approvals_solution ON approvals (solution);
CREATE INDEX transfers_solution ON transfers (solution);
