//! `entresol-layer1`: to be written.
