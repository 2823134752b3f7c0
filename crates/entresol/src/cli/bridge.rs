//! Who connects from outside: browsers and local apps.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `entresol bridge …`
#[derive(Debug, Args)]
pub(crate) struct Bridge {
    #[command(subcommand)]
    pub(crate) command: Option<BridgeCommand>,
    /// What browsers add when they start the bridge: it says nothing that is believed
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) started_by: Vec<OsString>,
}

/// What to do with browsers.
#[derive(Debug, Subcommand)]
pub(crate) enum BridgeCommand {
    /// Let a browser's extension start the bridge
    Install(Install),
    /// Pair the browser profile whose extension shows this code
    Pair {
        /// The code, such as K7QD-M2XP
        code: String,
        /// Your name for the profile [default: made of the browser's]
        #[arg(long)]
        name: Option<String>,
    },
    /// List the paired browser profiles
    List,
    /// Remove a browser profile, and all that its sites were granted
    Remove {
        /// Its name
        name: String,
    },
}

/// `entresol bridge install`
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The browser
    #[arg(long, value_enum)]
    pub(crate) browser: Browser,
    /// The browser's data directory, for one that was started with its own (not Firefox)
    #[arg(long, value_name = "DIR")]
    pub(crate) user_data_dir: Option<PathBuf>,
}

/// Browsers whose places are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Browser {
    /// Chromium
    Chromium,
    /// Google Chrome
    Chrome,
    /// Brave
    Brave,
    /// Microsoft Edge
    Edge,
    /// Mozilla Firefox
    Firefox,
}

/// `entresol app …`
#[derive(Debug, Subcommand)]
pub(crate) enum App {
    /// Add an app, and print its address once: whoever has the address is the app
    Add {
        /// Your name for it
        name: String,
    },
    /// List the apps
    List,
    /// Remove an app, and all that it was granted
    Remove {
        /// Its name
        name: String,
    },
}
