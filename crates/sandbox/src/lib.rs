//! `entresol-sandbox`: to be written.
