//! `payments-node`: to be written.
