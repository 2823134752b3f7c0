//! `entresol-web`: to be written.
