//! What plugins do and use.

use std::path::PathBuf;

use clap::Subcommand;

/// `entresol plugin …`
#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Show what a solution's plugin uses (memory, CPU, calls) and its last errors
    Inspect {
        /// Handle or id of the solution
        solution: String,
    },
    /// Start a solution's plugin afresh and record everything that enters it, its secrets included
    Record {
        /// Handle or id of the solution
        solution: String,
        /// End the recording; the plugin goes on
        #[arg(long)]
        stop: bool,
    },
    /// Run a recording again and compare, to the byte; needs no daemon and no wallet
    Replay {
        /// The file that `record` made
        file: PathBuf,
        /// Show what entered and what came out, turn by turn
        #[arg(long)]
        show: bool,
    },
}
