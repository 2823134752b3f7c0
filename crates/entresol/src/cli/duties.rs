//! What any wallet does: accounts, sending, signing, waiting transactions, the wallet's own affairs.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::RequestKey;

/// `entresol account …`
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// List the accounts and their balances
    List,
    /// Add the next account of this wallet's words
    Add,
    /// Import a single private key; the words do not restore it, a backup does
    Import {
        /// File (mode 0600) with the key, 0x and 64 hexadecimal digits; asked for without
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Print the private key of an account; always asks for the passphrase
    Export {
        /// The account: its number, `imported-N`, or its address
        account: String,
    },
}

/// `entresol passphrase …`
#[derive(Debug, Subcommand)]
pub(crate) enum Passphrase {
    /// Change the passphrase; older backups keep the old one
    Change {
        /// File (mode 0600) with the new passphrase; asked for without
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

/// `entresol settings …`
#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Show the settings
    Show,
    /// Change settings
    Set(SetSettings),
}

/// `entresol settings set`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("setting").required(true).multiple(true).args(["auto_lock", "layer2_while_locked"]))]
pub(crate) struct SetSettings {
    /// Lock the seed by itself after this time without a decision of yours: `15min`, `2h`, or `never`
    #[arg(long, value_name = "TIME")]
    pub(crate) auto_lock: Option<String>,
    /// Whether plugins may go on signing with their own layer-2 accounts while the seed is locked, to watch over your
    /// money
    #[arg(long, value_enum, value_name = "on|off")]
    pub(crate) layer2_while_locked: Option<Switch>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// How soon a transaction should be included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Speed {
    /// Cheap; waits when blocks are full
    Slow,
    /// In one of the next blocks, as a rule
    Normal,
    /// In the next block, as a rule
    Fast,
}

/// `entresol send`
#[derive(Debug, Args)]
pub(crate) struct Send {
    /// How much: `0.5 ether`; of a token `12.5`, or `12500000 units` in its smallest unit
    pub(crate) amount: String,
    /// Address of the recipient
    pub(crate) to: String,
    /// Contract of an ERC-20 token [default: ETH is sent]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) token: Option<String>,
    /// The account that pays: its number, `imported-N`, or its address
    #[arg(long, default_value = "0", value_name = "ACCOUNT")]
    pub(crate) from: String,
    /// Layer-1 network [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// How soon it should be included
    #[arg(long, value_enum, default_value = "normal")]
    pub(crate) speed: Speed,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol sign …`
#[derive(Debug, Subcommand)]
pub(crate) enum Sign {
    /// Sign a message (EIP-191), such as a website's sign-in text
    Message {
        /// The message itself
        #[arg(required_unless_present_any = ["file", "hex"], conflicts_with_all = ["file", "hex"])]
        text: Option<String>,
        /// Read the message from this file, exactly as it stands there
        #[arg(long, value_name = "FILE", conflicts_with = "hex")]
        file: Option<PathBuf>,
        /// The message as bytes: 0x and hexadecimal digits
        #[arg(long, value_name = "HEX")]
        hex: Option<String>,
        #[command(flatten)]
        options: SignOptions,
    },
    /// Sign typed data (EIP-712) from a JSON file
    Typed {
        /// The file
        file: PathBuf,
        /// Layer-1 network whose chain the data must be for
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
        #[command(flatten)]
        options: SignOptions,
    },
}

/// Options of both ways of signing.
#[derive(Debug, Args)]
pub(crate) struct SignOptions {
    /// The account that signs: its number, `imported-N`, or its address
    #[arg(long, default_value = "0", value_name = "ACCOUNT")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol transactions …`
#[derive(Debug, Subcommand)]
pub(crate) enum Transactions {
    /// List the transactions that are not settled yet, and what keeps them
    List {
        /// Only this layer-1 network
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
    },
    /// Send a waiting transaction again with a higher fee
    SpeedUp {
        /// Hash of the transaction that waits
        hash: String,
        /// How soon it should be included now
        #[arg(long, value_enum, default_value = "fast")]
        speed: Speed,
        #[command(flatten)]
        key: RequestKey,
    },
    /// Propose to cancel a waiting transaction: an empty one takes its place
    Cancel {
        /// Hash of the transaction that waits
        hash: String,
        /// How soon it should be included
        #[arg(long, value_enum, default_value = "fast")]
        speed: Speed,
        #[command(flatten)]
        key: RequestKey,
    },
}

/// `entresol fund`
#[derive(Debug, Args)]
pub(crate) struct Fund {
    /// Handle or id of the solution
    pub(crate) solution: String,
    /// Number of its layer-2 account
    pub(crate) account: u32,
    /// Amount, such as `0.01 ether`
    pub(crate) amount: String,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol exit`
#[derive(Debug, Args)]
pub(crate) struct Exit {
    /// Handle or id of the solution; a removed one by its id
    pub(crate) solution: String,
    /// Number of the layer-2 account whose money leaves
    #[arg(long, default_value_t = 0)]
    pub(crate) account: u32,
    /// Do not propose to send the account ETH for the fee where it has too little; say so instead
    #[arg(long)]
    pub(crate) no_fund: bool,
    #[command(flatten)]
    pub(crate) key: RequestKey,
}

/// `entresol screens …`
#[derive(Debug, Subcommand)]
pub(crate) enum Screens {
    /// List the screens that plugins show
    List,
    /// Show one screen
    Show {
        /// Its number
        id: u64,
    },
    /// Press a button of a screen
    Answer {
        /// Number of the screen
        id: u64,
        /// Name of the button
        button: String,
        /// A field of the screen; may be given several times
        #[arg(long = "field", value_name = "NAME=VALUE")]
        fields: Vec<String>,
    },
    /// Close a screen
    Close {
        /// Its number
        id: u64,
    },
}

/// `entresol notices …`
#[derive(Debug, Args)]
pub(crate) struct Notices {
    /// Those that were read, too
    #[arg(long)]
    pub(crate) all: bool,
    #[command(subcommand)]
    pub(crate) command: Option<NoticesCommand>,
}

/// `entresol notices …`
#[derive(Debug, Subcommand)]
pub(crate) enum NoticesCommand {
    /// Mark notices as read
    Read {
        /// Their numbers; all of them without
        ids: Vec<u64>,
    },
}

/// `entresol activity`
#[derive(Debug, Args)]
pub(crate) struct Activity {
    /// Only this solution (handle or id)
    #[arg(long)]
    pub(crate) solution: Option<String>,
    /// Only what this one did, as the column "Who" says it: `user`, `plugin 1`, `app:till`
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only this, as the column "Did" says it: `call`, `transaction`, `policy`
    #[arg(long)]
    pub(crate) action: Option<String>,
    #[command(flatten)]
    pub(crate) period: Period,
    /// Number of rows [default: 50; with --csv all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: Option<u32>,
    /// Print comma-separated values for a spreadsheet
    #[arg(long)]
    pub(crate) csv: bool,
}

/// From when to when.
#[derive(Debug, Args)]
pub(crate) struct Period {
    /// Not before: `7d` (seven days ago), or a date such as 2026-01-01 (UTC)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Before: `1d` (one day ago), or a date such as 2027-01-01 (UTC)
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
}

/// `entresol transfers`
#[derive(Debug, Args)]
pub(crate) struct Transfers {
    /// Handle or id of the solution; all of them without
    pub(crate) solution: Option<String>,
    /// Go on showing changes until Ctrl-C
    #[arg(long, conflicts_with = "csv")]
    pub(crate) watch: bool,
    /// Print everything that was moved or paid as comma-separated values, for bookkeeping; also what your own accounts
    /// sent, and all fees
    #[arg(long)]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) period: Period,
}
