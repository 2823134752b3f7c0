//! `entresol-vault`: to be written.
