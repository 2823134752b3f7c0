//! `payments-contract`: to be written.
