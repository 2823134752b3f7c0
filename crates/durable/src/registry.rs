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

/// The write points that `entresol demo` comes by. All others are reached by the scripted day of use.
pub(crate) const DEMO: &[&str] = &[
    "vault.keystore.write",
    "store.schema.migrate",
    "store.network.put",
    "store.meta.put",
    "store.solution.install",
    "store.solution.status",
    "store.grant.set",
    "store.account.hand_out",
    "store.approval.create",
    "store.approval.decide",
    "store.approval.finish",
    "store.transaction.insert",
    "store.transaction.update",
    "store.transfer.create",
    "store.transfer.update",
    "store.kv.write",
    "store.layer2_state.put",
    "store.cursor.put",
    "store.call.begin",
    "store.call.finish",
    "store.journal.intent",
    "store.journal.outcome",
    "layer1.transaction.broadcast",
    "host.epoch.write",
    "sandbox.cache.write",
    "sandbox.snapshot.write",
    "package.tarball.write",
    "package.anvil.write",
    "node.schema.write",
    "node.identity.write",
    "node.messages.append",
    "node.layer1.apply",
    "node.found.note",
    "node.transaction.store",
    "node.transaction.broadcast",
    "node.transaction.update",
];

/// The write points of a replica that compares its operator; its own tests kill it there.
const COMPARISON: &[&str] = &["node.comparison.schema", "node.comparison.write"];

/// The write points of a node whose oldest batches have become unshakeable; a test of its own kills it there.
const BASE: &[&str] = &["node.base.settle", "node.base.snapshot"];

impl WritePoint {
    /// True when `entresol demo` reaches it. What the demo does not reach, the scripted day of use must.
    #[must_use]
    pub fn in_demo(&self) -> bool {
        DEMO.contains(&self.name)
    }

    /// True when only a replica that compares its operator reaches it.
    #[must_use]
    pub fn in_comparison(&self) -> bool {
        COMPARISON.contains(&self.name)
    }

    /// True when only a node that has run for hundreds of layer-1 blocks reaches it.
    #[must_use]
    pub fn in_base(&self) -> bool {
        BASE.contains(&self.name)
    }

    /// True when the scripted day of use reaches it, and the demo does not.
    #[must_use]
    pub fn in_day(&self) -> bool {
        !self.in_demo() && !self.in_comparison() && !self.in_base()
    }
}

const fn point(name: &'static str, process: Process, what: &'static str) -> WritePoint {
    WritePoint { name, process, what }
}

/// Every write point of the project. A test kills the process at each.
pub const REGISTRY: &[WritePoint] = &[
    // vault
    point("vault.keystore.write", Process::Command, "the sealed keystore file"),
    point("vault.keystore.replace", Process::Daemon, "the keystore with another passphrase or one more imported key"),
    // host
    point("host.epoch.write", Process::Daemon, "how often the daemon has started: an older database is told by it"),
    point("host.asset.write", Process::Daemon, "a fetched WebAssembly asset, checked against the manifest"),
    point("host.backup.write", Process::Daemon, "the sealed backup file"),
    point("host.restore.write", Process::Command, "a whole home out of a backup"),
    // store (the wallet's database)
    point("store.schema.migrate", Process::Daemon, "the database and its tables, at the newest version"),
    point("store.network.put", Process::Daemon, "a layer-1 network and its endpoints"),
    point("store.meta.put", Process::Daemon, "one setting of the wallet"),
    point("store.solution.install", Process::Daemon, "the solution, what was granted, and the outcome of its approval"),
    point("store.solution.update", Process::Daemon, "another package of a solution, with its permissions and policies"),
    point("store.solution.status", Process::Daemon, "a solution suspended, active again or removed"),
    point("store.grant.set", Process::Daemon, "one permission granted or revoked"),
    point("store.account.hand_out", Process::Daemon, "the index of a layer-2 account given to a plugin"),
    point("store.approval.create", Process::Daemon, "a request that waits for the user"),
    point("store.approval.decide", Process::Daemon, "the user's decision, or that the time is over"),
    point("store.approval.finish", Process::Daemon, "what became of an approved request"),
    point("store.transaction.insert", Process::Daemon, "a signed transaction, before it is broadcast"),
    point("store.transaction.update", Process::Daemon, "how far a transaction has come"),
    point("store.transfer.create", Process::Daemon, "a deposit, withdrawal or payment in the user's history"),
    point("store.transfer.update", Process::Daemon, "the stage of a transfer"),
    point("store.kv.write", Process::Daemon, "a plugin's own database"),
    point("store.layer2_state.put", Process::Daemon, "the state that a plugin published"),
    point("store.approval.pass", Process::Daemon, "a request that policies let pass, and what they reserved for it"),
    point("store.transaction.replace", Process::Daemon, "a signed replacement, before it is broadcast"),
    point("store.caller_grant.put", Process::Daemon, "what a caller may ask of a solution"),
    point("store.caller_grant.revoke", Process::Daemon, "that a caller may ask no more"),
    point("store.connection.put", Process::Daemon, "the accounts and the network that a caller sees"),
    point("store.policy.put", Process::Daemon, "what a caller may do without asking"),
    point("store.policy.state", Process::Daemon, "a policy paused, active again or revoked"),
    point("store.peer.put", Process::Daemon, "a browser profile that was paired, or a local app"),
    point("store.peer.remove", Process::Daemon, "that a browser profile or an app is gone, with all it was granted"),
    point("store.reservation.settle", Process::Daemon, "that the effect of a reservation happened"),
    point("store.reservation.release", Process::Daemon, "that the effect of a reservation did not happen"),
    point("store.job.put", Process::Daemon, "a wake-up that a plugin asked for"),
    point("store.job.delete", Process::Daemon, "that a wake-up was delivered or taken back"),
    point("store.notice.add", Process::Daemon, "what a plugin told the user"),
    point("store.notice.read", Process::Daemon, "that the user has seen a notice"),
    point("store.snapshot.write", Process::Daemon, "a copy of the database for a backup"),
    point("store.cursor.put", Process::Daemon, "how far a solution has read the chain's events"),
    point("store.call.begin", Process::Daemon, "that a caller's action has started"),
    point("store.call.finish", Process::Daemon, "the result of a caller's action"),
    point("store.journal.intent", Process::Daemon, "what a plugin is about to do"),
    point("store.journal.outcome", Process::Daemon, "what came of it"),
    // layer1
    point("layer1.transaction.broadcast", Process::Daemon, "a stored layer-1 transaction in an endpoint's pool"),
    // sandbox
    point("sandbox.cache.write", Process::Daemon, "the JavaScript engine, compiled for this machine"),
    point("sandbox.snapshot.write", Process::Daemon, "a script's memory after its evaluation"),
    // entresol
    point("entresol.bridge_script.write", Process::Command, "the script by which a browser starts the relay"),
    point("entresol.bridge_manifest.write", Process::Command, "the manifest by which a browser finds that script"),
    // package
    point("package.tarball.write", Process::Daemon, "the approved copy of a plugin package"),
    point("package.anvil.write", Process::Command, "the verified anvil executable in the cache"),
    // host
    // payments node
    point("node.schema.write", Process::Node, "the node's database and its tables"),
    point("node.identity.write", Process::Node, "whose database it is: chain, gateway, role"),
    point("node.messages.append", Process::Node, "receipted messages, before their receipts are handed out"),
    point("node.layer1.apply", Process::Node, "blocks of layer 1 and what the gateway did in them"),
    point(
        "node.found.note",
        Process::Node,
        "batches that were found true, so that a restart need not judge them again",
    ),
    point("node.base.settle", Process::Node, "batches that nothing changes any more, before memory forgets them"),
    point("node.base.snapshot", Process::Node, "the state after the newest of them"),
    point("node.transaction.store", Process::Node, "a signed batch, contest or bond, before it is broadcast"),
    point("node.transaction.broadcast", Process::Node, "that transaction in an endpoint's pool"),
    point("node.transaction.update", Process::Node, "how far that transaction has come"),
    point("node.comparison.schema", Process::Node, "a replica's book about its operator, and its tables"),
    point("node.comparison.write", Process::Node, "receipts as the operator showed them, and what they prove"),
];
