//! `entresol-host`: to be written.
