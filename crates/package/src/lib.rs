//! `entresol-package`: to be written.
