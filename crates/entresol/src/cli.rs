//! The command line, as clap reads it. What each command does stands in `commands/`, `daemon`, `devnet` and `demo`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use payments_node::PaymentsArgs;

mod bridge;
mod consent;
mod duties;
mod plugin;

pub(crate) use bridge::{App, Bridge, BridgeCommand, Browser, Install};
pub(crate) use consent::{Approvals, Approve, CallerGrant, Callers, Decide, Grants, Policy, PolicyRule};
pub(crate) use duties::{
    Account, Activity, Exit, Fund, Notices, NoticesCommand, Passphrase, Period, Screens, Send, SetSettings, Settings,
    Sign, Speed, Switch, Transactions, Transfers,
};
pub(crate) use plugin::Plugin;

const EXIT_CODES: &str =
    "Exit codes: 0 done · 1 failed · 2 wrong usage · 3 the daemon is not running · 4 rejected · 5 not authorised";

/// An Ethereum wallet that runs layer-2 apps.
#[derive(Debug, Parser)]
#[command(name = "entresol", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The wallet's home directory [default: `entresol` in the user's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "ENTRESOL_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// Print JSON for programs; errors too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read the passphrase from this file (mode 0600) instead of asking for it
    #[arg(long, global = true, value_name = "FILE", env = "ENTRESOL_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new wallet, or restore one from its words
    Init(Init),
    /// Run the wallet's daemon in the foreground
    Daemon(Daemon),
    /// Unlock the seed of the running daemon
    Unlock,
    /// Lock the seed and end all passphrase sessions
    Lock,
    /// Show whether the daemon runs and what waits
    Status,
    /// Print a one-time address of the wallet's page: look, decide and act in a browser
    Web,
    /// Change the wallet's passphrase
    #[command(subcommand)]
    Passphrase(Passphrase),
    /// Write the whole wallet into one sealed file
    Backup {
        /// The file to make; it opens with the passphrase that the wallet has now
        file: PathBuf,
    },
    /// Make a wallet out of a backup file, in an empty home
    Restore {
        /// The backup file
        file: PathBuf,
    },
    /// Show or change the wallet's settings
    #[command(subcommand)]
    Settings(Settings),
    /// Your own layer-1 accounts
    #[command(subcommand)]
    Account(Account),
    /// Propose to send ETH or a token to somebody
    Send(Send),
    /// Propose to sign a message or typed data
    #[command(subcommand)]
    Sign(Sign),
    /// Layer-1 transactions that are not settled yet [without a subcommand: list]
    Transactions {
        #[command(subcommand)]
        command: Option<Transactions>,
    },
    /// Show what a transaction costs now
    Fees {
        /// Layer-1 network [default: the only one]
        network: Option<String>,
    },
    /// Layer-1 networks
    #[command(subcommand)]
    Network(Network),
    /// Layer-2 solutions
    #[command(subcommand)]
    Solution(Solution),
    /// What plugins use and do: inspect, record, replay
    #[command(subcommand)]
    Plugin(Plugin),
    /// List the typed actions of a solution
    Actions {
        /// Handle or id of the solution
        solution: String,
    },
    /// Print TypeScript for a solution's actions and state, for whoever writes a website or an app
    Types {
        /// Handle or id of the solution
        solution: String,
    },
    /// Call an action of a solution
    Call(Call),
    /// Show what a solution's plugin has published
    State(State),
    /// Propose a deposit into a solution
    Deposit(Deposit),
    /// Propose a call of a withdraw function
    Withdraw(Withdraw),
    /// Propose to send ETH to a layer-2 account of a solution, such as for the fee of an exit
    Fund(Fund),
    /// Propose to leave a layer 2 with everything an account has there, without its plugin
    Exit(Exit),
    /// List deposits, withdrawals and payments
    Transfers(Transfers),
    /// Requests that wait for your decision [without a subcommand: list]
    Approvals {
        #[command(subcommand)]
        command: Option<Approvals>,
    },
    /// Permissions of a solution's plugin
    #[command(subcommand)]
    Grants(Grants),
    /// Websites, apps and other solutions that may ask a solution for something [without a subcommand: list]
    Callers {
        #[command(subcommand)]
        command: Option<Callers>,
    },
    /// Browsers: started by the extension [without a subcommand: relay between the browser and the daemon]
    #[command(args_conflicts_with_subcommands = true)]
    Bridge(Bridge),
    /// Local apps: scripts and tools that reach the wallet by an address of their own
    #[command(subcommand)]
    App(App),
    /// What callers' requests pass without asking you [without a subcommand: list]
    Policy {
        #[command(subcommand)]
        command: Option<Policy>,
    },
    /// What plugins show you [without a subcommand: list]
    Screens {
        #[command(subcommand)]
        command: Option<Screens>,
    },
    /// What plugins and the wallet have told you
    Notices(Notices),
    /// The activity journal, newest first
    Activity(Activity),
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Layer-2 nodes that come with the program
    #[command(subcommand)]
    Node(Node),
    /// Run a local chain with the payments layer 2 on it, until Ctrl-C
    Devnet(Devnet),
    /// Show the whole way, on a local chain of its own: from an empty wallet to money back on layer 1
    Demo(Demo),
    /// For tests and the curious
    #[command(subcommand, hide = true)]
    Debug(Debug),
}

/// `entresol init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Restore a wallet from the words in --phrase-file
    #[arg(long, requires = "phrase_file")]
    pub(crate) restore: bool,
    /// File (mode 0600) with the words, separated by spaces
    #[arg(long, value_name = "FILE", requires = "restore")]
    pub(crate) phrase_file: Option<PathBuf>,
}

/// `entresol daemon`
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// Stay in the foreground (this is the default)
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Port of the local web page on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) web_port: u16,
    /// Port on 127.0.0.1 for local apps and for extensions without native messaging; 0 takes a free one [default: the
    /// one of the last time, so that the apps' addresses stay]
    #[arg(long)]
    pub(crate) site_port: Option<u16>,
    /// Run without the web page
    #[arg(long)]
    pub(crate) no_web: bool,
    /// Time between looks at layer 1, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(20..=60_000))]
    pub(crate) poll_ms: u64,
}

/// `entresol network …`
#[derive(Debug, Subcommand)]
pub(crate) enum Network {
    /// Add a layer-1 network, or change one
    Add {
        /// Your name for it
        name: String,
        /// JSON-RPC endpoints (http, https, ws or wss); with several the wallet compares them, and goes on when one
        /// fails
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
        /// Chain id that the endpoints must have; without it, theirs is taken and kept
        #[arg(long, value_name = "ID")]
        chain_id: Option<u64>,
        /// Blocks after which an inclusion counts as settled
        #[arg(long, value_name = "N")]
        confirmations: Option<u64>,
    },
    /// List the networks
    List,
}

/// `entresol solution …`
#[derive(Debug, Subcommand)]
pub(crate) enum Solution {
    /// Propose a solution; it is installed when you approve
    Add(SolutionAdd),
    /// List the solutions
    List,
    /// Show one solution: addresses, package, permissions, actions
    Show {
        /// Handle or id
        solution: String,
    },
    /// Look at a solution's gateway on layer 1: what it is, what is locked there, whether it can pay
    Check {
        /// Handle or id
        solution: String,
    },
    /// Propose another version of a solution's package: what would change is shown, and done when you approve
    Update(SolutionUpdate),
    /// Show or move a solution's dials: how much of the layer-2 node its plugin takes into the wallet
    Dials(SolutionDials),
    /// Remove a solution; its keys' path stays reserved
    Remove {
        /// Handle or id
        solution: String,
    },
    /// Start a solution's plugin again after it was stopped
    Restart {
        /// Handle or id
        solution: String,
    },
}

/// `entresol solution add`
#[derive(Debug, Args)]
pub(crate) struct SolutionAdd {
    /// The plugin: a folder, a tarball (.tgz), or npm:NAME@VERSION
    pub(crate) script: String,
    /// Layer-1 network
    #[arg(long)]
    pub(crate) network: String,
    /// Your short handle for it [default: from the package's title]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Gateway contract on layer 1
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Option<String>,
    /// Where the layer-2 network answers; may be given several times
    #[arg(long = "url", value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Root of the plugin's keys, such as m/43'/60'/1775'/7'
    #[arg(long, value_name = "PATH")]
    pub(crate) key_path: Option<String>,
    /// Index of the owner account
    #[arg(long, default_value_t = 0)]
    pub(crate) owner: u32,
    /// First layer-1 block of interest
    #[arg(long, value_name = "BLOCK")]
    pub(crate) from_block: Option<u64>,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol solution dials`
#[derive(Debug, Args)]
pub(crate) struct SolutionDials {
    /// Handle or id
    pub(crate) solution: String,
    /// Whom to ask: `node` (one node), `nodes` (all of its URLs, compared)
    #[arg(long, value_name = "POSITION")]
    pub(crate) networking: Option<String>,
    /// What to believe: `node` (its word), `light` (what layer 1 proves)
    #[arg(long, value_name = "POSITION")]
    pub(crate) state: Option<String>,
    /// Who keeps what happened: `node`, `own` (this wallet too)
    #[arg(long, value_name = "POSITION")]
    pub(crate) history: Option<String>,
}

/// `entresol solution update`
#[derive(Debug, Args)]
pub(crate) struct SolutionUpdate {
    /// Handle or id
    pub(crate) solution: String,
    /// The new version of the same package: a folder, a tarball (.tgz), or npm:NAME@VERSION
    pub(crate) script: String,
    /// Take also a version that is older than the one there, or has the same number and other contents
    #[arg(long)]
    pub(crate) allow_not_newer: bool,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// Idempotency of a proposal.
#[derive(Debug, Args)]
pub(crate) struct RequestKey {
    /// The same key gives the same request, also after a crash
    #[arg(long = "request-key", value_name = "KEY")]
    pub(crate) request_key: Option<String>,
}

/// `entresol call`
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// Handle or id of the solution
    pub(crate) solution: String,
    /// Name of the action
    pub(crate) action: String,
    /// A parameter; amounts take units (`value="0.5 ether"`), tuples and arrays are JSON
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// Idempotency id: calling again with it gives the first call's result
    #[arg(long)]
    pub(crate) id: Option<String>,
}

/// `entresol state`
#[derive(Debug, Args)]
pub(crate) struct State {
    /// Handle or id of the solution
    pub(crate) solution: String,
    /// Only these names
    pub(crate) names: Vec<String>,
    /// Ask the plugin for fresh values first
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Go on showing changes until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `entresol deposit`
#[derive(Debug, Args)]
pub(crate) struct Deposit {
    /// Handle or id of the solution
    pub(crate) solution: String,
    /// Amount, such as `0.5 ether`
    pub(crate) value: String,
    /// Deposit function [default: the first one the package declares]
    #[arg(long)]
    pub(crate) function: Option<String>,
    /// Its arguments [default: the first layer-2 account, where one address is wanted]
    #[arg(long = "arg", value_name = "VALUE")]
    pub(crate) args: Vec<String>,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol withdraw`
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Handle or id of the solution
    pub(crate) solution: String,
    /// Withdraw function
    pub(crate) function: String,
    /// Its arguments; amounts may name a unit, tuples and arrays are JSON
    pub(crate) args: Vec<String>,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol node …`
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// The payments layer 2: operator or replica, or the way out without any
    Payments(Box<PaymentsArgs>),
}

/// `entresol devnet`
#[derive(Debug, Args)]
pub(crate) struct Devnet {
    /// Keep everything in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Port of the layer-1 endpoint; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) rpc_port: u16,
    /// Port of the layer-2 node; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) node_port: u16,
    /// Give 10 ETH to this account, such as your wallet's owner; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) fund: Vec<alloy::primitives::Address>,
    /// Seconds during which a batch can be contested
    #[arg(long, default_value_t = 60)]
    pub(crate) challenge: u64,
    /// Seconds within which the operator must serve an inbox item
    #[arg(long, default_value_t = 600)]
    pub(crate) force: u64,
}

/// `entresol demo`
#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// Reject the request of this step: the demo stops there, shows that nothing moved, and ends with code 4
    #[arg(long, value_enum, value_name = "STEP")]
    pub(crate) reject: Option<crate::demo::Rejectable>,
    /// Leave everything running at the end, until Ctrl-C, and print how to go on by hand
    #[arg(long)]
    pub(crate) keep: bool,
    /// Kill the daemon at a write point of its first start, and go on (for tests)
    #[arg(long, value_name = "POINT:before|after", hide = true)]
    pub(crate) kill_daemon_at: Option<String>,
    /// Kill the node at a write point of its first start, and go on (for tests)
    #[arg(long, value_name = "POINT:before|after", hide = true)]
    pub(crate) kill_node_at: Option<String>,
    /// Kill the first `init` at a write point, and go on (for tests)
    #[arg(long, value_name = "POINT:before|after", hide = true)]
    pub(crate) kill_command_at: Option<String>,
}

/// `entresol debug …`
#[derive(Debug, Subcommand)]
pub(crate) enum Debug {
    /// List the write points, at each of which a test kills the process
    WritePoints,
    /// Fetch the development chain into the cache, and print where it is
    FetchAnvil,
    /// Run a program that ends when its parent does
    Tied {
        /// Process id of the parent
        #[arg(long)]
        parent: i32,
        /// Program and arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<std::ffi::OsString>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
