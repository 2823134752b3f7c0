//! The list of write points. One line each, grouped by the crate that writes.

/// The process in which a write point is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// A short command of the CLI, such as `entresol init`.
    Command,
    /// `entresol daemon`.
    Daemon,
    /// `entresol node payments`.
    Node,
}

impl Process {
    /// Lower-case name, as printed by `entresol debug write-points`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Daemon => "daemon",
            Self::Node => "node",
        }
    }
}

/// One durable moment.
#[derive(Clone, Copy, Debug)]
pub struct WritePoint {
    /// `crate.thing.verb`.
    pub name: &'static str,
    /// Where it is reached.
    pub process: Process,
    /// What is durable once it has returned.
    pub what: &'static str,
}

const fn point(name: &'static str, process: Process, what: &'static str) -> WritePoint {
    WritePoint { name, process, what }
}

/// Every write point of the project. A test kills the process at each.
pub const REGISTRY: &[WritePoint] = &[
    // vault
    point("vault.keystore.write", Process::Command, "the sealed keystore file"),
    // store (the wallet's database)
    // layer1
    // package
    // host
    // payments node
];
