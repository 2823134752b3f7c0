//! The command line of `entresol node payments`.

use std::net::SocketAddr;
use std::path::PathBuf;

use alloy::primitives::{Address, U256};
use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use crate::exit::ExitArgs;

/// What this node does for its layer 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Orders messages, signs receipts, submits batches. Needs --operator-key-file.
    Operator,
    /// Follows layer 1, replays every batch, serves what it found, contests what is false.
    Replica,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Replica => "replica",
        }
    }
}

/// A fault built in on purpose, for tests and the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Misbehave {
    /// Post one batch whose last root is false; go on honestly once it has been contested and removed.
    FalseRootOnce,
    /// Post batches whose last root makes everybody's money the operator's, bury them under more, and begin anew when
    /// they fall, as long as there is bond.
    Thief,
    /// Promise, and post nothing.
    Silent,
    /// Sign two receipts with one sequence: for every second message, and for a message that contradicts a promise.
    Equivocate,
}

/// The layer-1 block at which the end of the challenge window is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FinalAt {
    /// The newest block. For local chains, whose `finalized` lags by minutes.
    Latest,
    /// The newest block that layer 1 calls finalized.
    Finalized,
}

/// Form of the log on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// The three ways to start. What clap would print names only the flags that a file may hold as well.
const USAGE: &str = "\
entresol node payments --role <ROLE> --rpc <URL> --gateway <ADDRESS> --data-dir <DIR> [OPTIONS]
       entresol node payments --config <FILE> [OPTIONS]
       entresol node payments exit --from-layer1 --rpc <URL> --gateway <ADDRESS> --account <ADDRESS> [OPTIONS]";

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples:
  An operator on a local chain:
    entresol node payments --role operator --rpc http://127.0.0.1:8545 --gateway 0x… --data-dir op \\
        --operator-key-file op.key --keep-bond 3000000000000000000
  A replica that verifies, compares and contests:
    entresol node payments --role replica --rpc https://… --gateway 0x… --data-dir re \\
        --challenger-key-file ch.key --operator-url https://operator.example
  The same from a file, with another port:
    entresol node payments --config node.toml --listen 127.0.0.1:7500
  What would be in force:
    entresol node payments --config node.toml --print-config

The first line on standard output says where the node answers. SIGTERM or SIGINT ends it in good order.
Exit codes: 0 stopped by a signal · 1 failed (the reason is on standard error) · 2 wrong usage";

/// `entresol node payments`: a node, or a command that needs none.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, override_usage = USAGE)]
pub struct PaymentsArgs {
    /// The command that needs no node.
    #[command(subcommand)]
    pub command: Option<PaymentsCommand>,
    /// The node; present when there is no command.
    #[command(flatten)]
    pub node: Option<NodeArgs>,
}

/// What needs no node.
#[derive(Clone, Debug, Subcommand)]
pub enum PaymentsCommand {
    /// Get an account's ETH out with a layer-1 endpoint alone: no node, no operator
    Exit(ExitArgs),
}

/// Arguments of one node.
// A flag that stands twice: the later one wins. The first may come out of --config.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true, after_long_help = EXAMPLES)]
pub struct NodeArgs {
    /// Order messages (operator), or follow and verify (replica).
    #[arg(long, value_enum, value_name = "ROLE", help_heading = "Node")]
    pub role: Role,

    /// Folder of the node's database. Created with mode 0700.
    #[arg(long, value_name = "DIR", help_heading = "Node")]
    pub data_dir: PathBuf,

    /// File with flags in TOML, under their long names: `poll-ms = 250`. Flags that are given win.
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,

    /// Print all values in force as a file for --config, and end.
    #[arg(long, help_heading = "Configuration")]
    pub print_config: bool,

    /// Form of the log on standard error.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = LogFormat::Text, help_heading = "Monitoring")]
    pub log_format: LogFormat,

    /// How much is logged: error, warn, info, debug, trace, or directives such as `info,payments_node=debug`.
    /// Default: the environment variable ENTRESOL_LOG, else info.
    #[arg(long, value_name = "LEVEL", help_heading = "Monitoring")]
    pub log_level: Option<String>,

    /// Layer-1 JSON-RPC endpoint (http or https).
    #[arg(long, value_name = "URL", help_heading = "Layer 1")]
    pub rpc: Url,

    /// Chain id the endpoint must have. Without it the first one seen is stored in the data directory and kept.
    #[arg(long, value_name = "ID", help_heading = "Layer 1")]
    pub chain_id: Option<u64>,

    /// Address of the payments gateway contract.
    #[arg(long, value_name = "ADDRESS", help_heading = "Layer 1")]
    pub gateway: Address,

    /// Address and port to answer on (WebSocket and HTTP POST). Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", help_heading = "Serving")]
    pub listen: SocketAddr,

    /// Address and port of `GET /metrics` in Prometheus' text format. Off by default; keep it off the public network.
    #[arg(long, value_name = "ADDR", help_heading = "Monitoring")]
    pub metrics_listen: Option<SocketAddr>,

    /// Readings a second of one client (an IPv4 address, or an IPv6 network of 64 bits), with a burst of twice as
    /// many; 0 is no limit. Programs on this machine are limited only with --limit-loopback.
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Serving")]
    pub reads_per_second: u32,

    /// Messages a second of one client, likewise.
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Serving")]
    pub sends_per_second: u32,

    /// WebSocket connections of all clients together.
    #[arg(long, value_name = "N", default_value_t = 1_024, help_heading = "Serving")]
    pub max_connections: usize,

    /// WebSocket connections of one client.
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Serving")]
    pub max_connections_per_client: usize,

    /// Subscriptions of one WebSocket connection.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Serving")]
    pub max_subscriptions: usize,

    /// Limit programs on this machine too: for a node behind a proxy that does not limit by itself.
    #[arg(long, help_heading = "Serving")]
    pub limit_loopback: bool,

    /// File with the operator's private key, 64 hex digits, mode 0600. Role operator only.
    #[arg(long, value_name = "FILE", help_heading = "Keys and money")]
    pub operator_key_file: Option<PathBuf>,

    /// File with the key that pays for contests, 64 hex digits, mode 0600. Role replica only; without it false
    /// batches raise an alert but are not contested.
    #[arg(long, value_name = "FILE", help_heading = "Keys and money")]
    pub challenger_key_file: Option<PathBuf>,

    /// Operator's node (its --listen address) whose answers are compared with this replica's own replay; what it
    /// contradicts itself in is kept as evidence. Role replica only.
    #[arg(long, value_name = "URL", help_heading = "Comparing the operator (replica)")]
    pub operator_url: Option<Url>,

    /// Age in seconds at which a promise that is not on layer 1 counts as withheld. Default: an hour, or half of the
    /// gateway's FORCE where that is less. Only with --operator-url.
    #[arg(long, value_name = "SECONDS", help_heading = "Comparing the operator (replica)")]
    pub withheld_after_s: Option<u64>,

    /// Blocks on top of a deposit, its own included, before it is credited.
    #[arg(long, value_name = "K", default_value_t = 1, help_heading = "Layer 1")]
    pub confirmations: u64,

    /// Block in which the gateway was deployed, or any earlier one.
    #[arg(long, value_name = "BLOCK", default_value_t = 0, help_heading = "Layer 1")]
    pub from_block: u64,

    /// Time between looks at layer 1, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, help_heading = "Layer 1")]
    pub poll_ms: u64,

    /// Age at which a waiting message or deposit is posted in a batch, in milliseconds. A full batch is posted at once.
    #[arg(long, value_name = "MS", default_value_t = 500, help_heading = "Layer 1")]
    pub batch_age_ms: u64,

    /// Time after which a transaction of this node that is not in a block yet is sent again, with the fee of the
    /// moment and at least an eighth more, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 60_000, help_heading = "Keys and money")]
    pub resend_ms: u64,

    /// Most that a batch bids, in wei per gas. While layer 1 is dearer, batches wait and grow; what has waited for a
    /// quarter of FORCE is posted at any price. Default: no limit.
    #[arg(long, value_name = "WEI", help_heading = "Keys and money")]
    pub max_fee_per_gas: Option<u128>,

    /// Most that a contest bids, in wei per gas. A contest bids the market price at first, and up to four times as
    /// much as its window ends. Default: no limit. Role replica only.
    #[arg(long, value_name = "WEI", help_heading = "Keys and money")]
    pub contest_max_fee: Option<u128>,

    /// Keep the operator's bond at the gateway at least this high, in wei. 0 leaves the bond alone.
    #[arg(long, value_name = "WEI", default_value = "0", help_heading = "Keys and money")]
    pub keep_bond: U256,

    /// Layer-1 block that ends the challenge window. Default: latest on chains 1337 and 31337, else finalized.
    #[arg(long, value_enum, value_name = "BLOCK", help_heading = "Layer 1")]
    pub final_at: Option<FinalAt>,

    /// ADVERSARY, for tests and demonstrations only: break the protocol in the named way. Refused outside the local
    /// chain ids 1337 and 31337.
    #[arg(long, value_enum, value_name = "FAULT", help_heading = "Tests and demonstrations")]
    pub misbehave: Option<Misbehave>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        payments: PaymentsArgs,
    }

    const NODE: [&str; 9] = [
        "program",
        "--role",
        "replica",
        "--rpc",
        "http://127.0.0.1:1",
        "--gateway",
        "0x00000000000000000000000000000000000000aa",
        "--data-dir",
        "re",
    ];

    #[test]
    fn flags_are_a_node_and_exit_is_a_command() {
        let Program { payments } = Program::try_parse_from(NODE).expect("a node");
        assert!(payments.command.is_none());
        let node = payments.node.expect("a node");
        assert_eq!((node.role, node.poll_ms), (Role::Replica, 500));

        let exit = ["program", "exit", "--from-layer1", "--rpc", "http://127.0.0.1:1", "--gateway"];
        let address = "0x00000000000000000000000000000000000000aa";
        let words = exit.into_iter().chain([address, "--account", address]);
        let Program { payments } = Program::try_parse_from(words).expect("a command");
        assert!(payments.node.is_none());
        let Some(PaymentsCommand::Exit(exit)) = payments.command else { panic!("no exit") };
        assert_eq!((exit.from_block, exit.account), (0, exit.gateway));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Program::try_parse_from(&NODE[..7]).expect_err("no data directory").to_string();
        assert!(error.contains("--data-dir"), "{error}");
        let error = Program::try_parse_from(["program", "exit", "--from-layer1"]).expect_err("nothing").to_string();
        assert!(error.contains("--account"), "{error}");
        // A later flag wins, as after --config.
        let words = NODE.into_iter().chain(["--role", "operator"]);
        let Program { payments } = Program::try_parse_from(words).expect("a node");
        assert_eq!(payments.node.map(|node| node.role), Some(Role::Operator));
    }
}
