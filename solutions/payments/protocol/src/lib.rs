//! `payments-protocol`: to be written.
