//! What a plugin uses, and what went wrong with it.

use serde::{Deserialize, Serialize};

/// A plugin from outside. Counted since the wallet was started, over all lives of the plugin.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginView {
    /// Handle of its solution.
    pub solution: String,
    /// `asleep`, `starting`, `running`, `failed: …` or `stopped: …`.
    pub status: String,
    /// It starts with the wallet, as something may reach it from outside.
    pub background: bool,
    /// When its instance was started, Unix milliseconds; none while there is no instance.
    pub started_at: Option<u64>,
    /// When it starts again after a failure, Unix milliseconds.
    pub next_start_at: Option<u64>,
    /// How often it was started.
    pub starts: u64,
    /// How often a limit or a trap ended it, or it did not start.
    pub ended: u64,
    /// How often it was put to sleep because nothing happened in it.
    pub slept: u64,
    /// Linear memory in use now, in bytes: interpreter, script and data.
    pub memory_bytes: u64,
    /// The most it may use, in bytes.
    pub memory_limit: u64,
    /// CPU time of all its turns, microseconds.
    pub cpu_micros: u64,
    /// CPU time of its longest turn, microseconds.
    pub longest_turn_micros: u64,
    /// Time it waited because others were running, microseconds.
    pub waited_micros: u64,
    /// Time it was held back because it had used its share of CPU, microseconds.
    pub throttled_micros: u64,
    /// Turns: each message, answer and timer that it got is one.
    pub turns: u64,
    /// Calls of its actions.
    pub calls: u64,
    /// Hooks that were delivered.
    pub hooks: u64,
    /// Hooks that were delivered again, because the life before ended with them open.
    pub hooks_again: u64,
    /// Calls and hooks that it answered with an error.
    pub threw: u64,
    /// What it asked of the wallet, layer 1 and the network.
    pub requests: u64,
    /// Calls and hooks whose promise has not resolved.
    pub open: u64,
    /// Calls and hooks that wait for it.
    pub waiting: u64,
    /// Requests of its that have no answer yet.
    pub open_requests: u64,
    /// Timers that have not fired.
    pub timers: u64,
    /// Open network connections.
    pub connections: u64,
    /// The file to which its run is being recorded.
    pub recording: Option<String>,
    /// The last errors, oldest first.
    pub errors: Vec<PluginErrorView>,
}

/// Something that went wrong in a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginErrorView {
    /// Unix milliseconds.
    pub at: u64,
    /// `ended` (the instance is gone), `uncaught`, `threw` (a call or hook), `given up` (a hook).
    pub kind: String,
    /// The plugin's own words, or the sandbox's.
    pub message: String,
    /// The script's stack, if it has one.
    pub stack: String,
}

/// A recording that begins or has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingView {
    /// Handle of the solution.
    pub solution: String,
    /// The file.
    pub file: String,
    /// False once it is whole.
    pub running: bool,
}
