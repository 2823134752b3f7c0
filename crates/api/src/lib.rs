//! `entresol-api`: to be written.
