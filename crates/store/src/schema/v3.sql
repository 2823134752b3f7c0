-- Websites, local apps and browser profiles.

-- A browser profile that was paired: its public key answers the challenge of every connection.
CREATE TABLE profiles (
    name TEXT PRIMARY KEY,
    -- P-256, uncompressed, 65 bytes.
    public_key BLOB NOT NULL UNIQUE,
    paired_at INTEGER NOT NULL
) STRICT;

-- A local app. Only a digest of its secret is kept.
CREATE TABLE apps (
    name TEXT PRIMARY KEY,
    secret_digest BLOB NOT NULL UNIQUE,
    added_at INTEGER NOT NULL
) STRICT;

-- What a caller sees of layer 1: the accounts it was granted, and the network it looks at.
CREATE TABLE connections (
    caller TEXT PRIMARY KEY,
    -- JSON list of owner indices; empty: none.
    accounts TEXT NOT NULL,
    -- Name of the network; the wallet's first when absent.
    network TEXT,
    changed_at INTEGER NOT NULL
) STRICT;
