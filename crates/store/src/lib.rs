//! `entresol-store`: to be written.
