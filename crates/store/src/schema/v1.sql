-- Amounts are decimal text, addresses and hashes lower-case hex, times unix milliseconds, structures JSON text.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE networks (
    name          TEXT PRIMARY KEY,
    chain_id      INTEGER NOT NULL,
    rpc_urls      TEXT NOT NULL,
    confirmations INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: an id is never used twice, so that an old reference cannot come to mean something new.
CREATE TABLE solutions (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL,
    title           TEXT NOT NULL,
    network         TEXT NOT NULL REFERENCES networks (name),
    owner_index     INTEGER NOT NULL,
    gateway         TEXT,
    network_urls    TEXT NOT NULL,
    key_path        TEXT NOT NULL,
    package_name    TEXT NOT NULL,
    package_version TEXT NOT NULL,
    package_sha512  TEXT NOT NULL,
    package_dir     TEXT NOT NULL,
    from_block      INTEGER NOT NULL,
    interface_digest TEXT NOT NULL,
    interface       TEXT NOT NULL,
    manifest        TEXT NOT NULL,
    status          TEXT NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;
-- A removed solution gives up its name; its path stays reserved (the host compares with all of them, overlaps too),
-- yet the same package may be added again on it.
CREATE UNIQUE INDEX solutions_name ON solutions (name) WHERE status <> 'removed';
CREATE UNIQUE INDEX solutions_key_path ON solutions (key_path) WHERE status <> 'removed';

CREATE TABLE grants (
    solution   INTEGER NOT NULL REFERENCES solutions (id),
    permission TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (solution, permission)
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    requester   TEXT NOT NULL,
    request_key TEXT UNIQUE,
    solution    INTEGER REFERENCES solutions (id),
    cause       TEXT NOT NULL,
    intent      TEXT NOT NULL,
    digest      TEXT NOT NULL,
    shown       TEXT NOT NULL,
    state       TEXT NOT NULL,
    decided_by  TEXT,
    created_at  INTEGER NOT NULL,
    decided_at  INTEGER,
    expires_at  INTEGER NOT NULL,
    outcome     TEXT
) STRICT;
CREATE INDEX approvals_state ON approvals (state);

CREATE TABLE accounts (
    solution      INTEGER NOT NULL REFERENCES solutions (id),
    account_index INTEGER NOT NULL,
    handed_out_at INTEGER NOT NULL,
    PRIMARY KEY (solution, account_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE kv (
    solution INTEGER NOT NULL REFERENCES solutions (id),
    key      TEXT NOT NULL,
    value    BLOB NOT NULL,
    PRIMARY KEY (solution, key)
) STRICT;

-- Bytes of keys and values, kept with every write: a sum over the table would read all of it.
CREATE TABLE kv_usage (
    solution INTEGER PRIMARY KEY REFERENCES solutions (id),
    bytes    INTEGER NOT NULL
) STRICT;

CREATE TABLE layer2_state (
    solution   INTEGER PRIMARY KEY REFERENCES solutions (id),
    state      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE cursors (
    solution INTEGER PRIMARY KEY REFERENCES solutions (id),
    position TEXT NOT NULL
) STRICT;

CREATE TABLE transactions (
    hash                TEXT PRIMARY KEY,
    chain_id            INTEGER NOT NULL,
    sender              TEXT NOT NULL,
    nonce               INTEGER NOT NULL,
    raw                 TEXT NOT NULL,
    approval_id         INTEGER REFERENCES approvals (id),
    solution            INTEGER REFERENCES solutions (id),
    purpose             TEXT NOT NULL,
    state               TEXT NOT NULL,
    block_number        INTEGER,
    block_hash          TEXT,
    success             INTEGER,
    gas_used            INTEGER,
    effective_gas_price TEXT,
    failure             TEXT,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- One approval moves value once; a replacement at the same nonce takes the place of what it replaces.
CREATE UNIQUE INDEX transactions_approval ON transactions (approval_id)
    WHERE approval_id IS NOT NULL AND state <> 'replaced';
CREATE UNIQUE INDEX transactions_nonce ON transactions (chain_id, sender, nonce)
    WHERE state IN ('stored', 'broadcast', 'included');

CREATE TABLE transfers (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    solution    INTEGER NOT NULL REFERENCES solutions (id),
    kind        TEXT NOT NULL,
    amount      TEXT NOT NULL,
    asset       TEXT NOT NULL,
    stage       TEXT NOT NULL,
    stages      TEXT NOT NULL,
    approval_id INTEGER UNIQUE REFERENCES approvals (id),
    tx_hash     TEXT,
    detail      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX transfers_tx ON transfers (tx_hash);

CREATE TABLE calls (
    caller      TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    solution    INTEGER NOT NULL REFERENCES solutions (id),
    action      TEXT NOT NULL,
    digest      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    result      TEXT,
    PRIMARY KEY (caller, call_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_finished ON calls (finished_at);

CREATE TABLE journal (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    solution    INTEGER,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    resource    TEXT NOT NULL,
    detail      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    result      TEXT
) STRICT;
CREATE INDEX journal_solution ON journal (solution);

CREATE TABLE counters (
    solution INTEGER NOT NULL,
    name     TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (solution, name)
) STRICT, WITHOUT ROWID;
