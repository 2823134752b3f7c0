//! `entresol`: the command line, the daemon's assembly, the development chain and the demo.
//!
//! | module | |
//! |---|---|
//! | [`cli`] | the command line, as clap reads it |
//! | [`commands`] | one function a command; each is a call over the control socket and a table |
//! | [`bridge`] | the browser's end: the relay, its installation, pairing |
//! | [`daemon`] | puts vault, store, sandbox, host, api and web together |
//! | [`devnet`], [`demo`] | real processes on a local chain |
//! | [`hardening`] | no core dumps, no debuggers |
//! | [`logging`] | the log on standard error, as text or JSON |
//! | [`process`] | child processes that never outlive this one |
//! | [`output`], [`units`], [`times`], [`secrets`] | what is printed, how amounts and times are written, where secrets come from |

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write files of their own"))]

mod bridge;
mod cli;
mod commands;
mod context;
mod daemon;
mod demo;
mod devnet;
mod hardening;
mod logging;
mod output;
mod plugin_files;
mod process;
mod secrets;
mod times;
mod units;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use entresol_api::{ClientError, codes};
use payments_node::{PaymentsArgs, PaymentsCommand};
use serde_json::json;

use crate::cli::{Cli, Command, Debug, Node};
use crate::context::{Context, NoWallet};
use crate::output::{note, visible, visible_json};

/// Exit codes; `entresol --help` lists them.
mod exit {
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const NOT_RUNNING: u8 = 3;
    pub(crate) const REJECTED: u8 = 4;
    pub(crate) const UNAUTHORISED: u8 = 5;
}

/// Longest wait for threads at the end of a server: a plugin's turn takes five seconds at most.
const LAST_TURN: std::time::Duration = std::time::Duration::from_secs(6);

fn main() -> ExitCode {
    let arguments = bridge::arguments(std::env::args_os()).into_iter().collect();
    let arguments = match payments_node::config::with_config(arguments, &["node", "payments"]) {
        Ok(arguments) => arguments,
        Err(error) => return report(&error.into(), std::env::args_os().any(|argument| argument == "--json")),
    };
    let matches = Cli::command().get_matches_from(arguments);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let json = cli.global.json;
    match run(cli, &matches) {
        Ok(code) => code,
        Err(error) => report(&error, json),
    }
}

fn run(cli: Cli, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    // Before any thread is there: this one replaces the process.
    if let Command::Debug(Debug::Tied { parent, command }) = &cli.command {
        return Err(process::run_tied(*parent, command));
    }
    let context = Context::new(&cli.global)?;
    if let Command::Node(Node::Payments(args)) = &cli.command
        && args.node.as_ref().is_some_and(|node| node.print_config)
    {
        let flags = matches.subcommand().and_then(|(_, node)| node.subcommand());
        let text = flags.map(|(_, flags)| payments_node::config::print(flags)).unwrap_or_default();
        context.out.either(&json!({ "config": text }), |_| text.trim_end().to_owned())?;
        return Ok(ExitCode::SUCCESS);
    }
    // A parent's death signal follows the thread that started the child, so whatever starts processes runs on the
    // main thread: only the two servers get worker threads, and they start none.
    let serves = matches!(cli.command, Command::Daemon(_) | Command::Node(_));
    let mut runtime = match serves {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let outcome = runtime.block_on(dispatch(cli.command, context));
    if serves {
        // At the end of the process the cryptography library cleans up behind itself; a thread that still encrypts a
        // page of the database then would crash.
        runtime.shutdown_timeout(LAST_TURN);
    } else {
        // A prompt on a blocking thread must not keep the program from ending.
        runtime.shutdown_background();
    }
    outcome
}

async fn dispatch(command: Command, context: Context) -> anyhow::Result<ExitCode> {
    let context = &context;
    match command {
        Command::Init(args) => commands::wallet::init(context, &args)?,
        Command::Daemon(args) => daemon::run(context, &args).await?,
        Command::Unlock => commands::wallet::unlock(context).await?,
        Command::Lock => commands::wallet::lock(context).await?,
        Command::Status => commands::wallet::status(context).await?,
        Command::Web => commands::wallet::web(context).await?,
        Command::Passphrase(command) => commands::accounts::passphrase(context, command).await?,
        Command::Backup { file } => commands::backups::backup(context, &file).await?,
        Command::Restore { file } => commands::backups::restore(context, &file)?,
        Command::Settings(command) => commands::accounts::settings(context, command).await?,
        Command::Account(command) => commands::accounts::account(context, command).await?,
        Command::Send(args) => commands::own::send(context, args).await?,
        Command::Sign(command) => commands::own::sign(context, command).await?,
        Command::Transactions { command } => commands::own::transactions(context, command).await?,
        Command::Fees { network } => commands::own::fees(context, network).await?,
        Command::Network(command) => commands::wallet::network(context, command).await?,
        Command::Solution(command) => commands::solutions::solution(context, command).await?,
        Command::Plugin(command) => commands::plugins::plugin(context, command).await?,
        Command::Actions { solution } => commands::solutions::actions(context, &solution).await?,
        Command::Types { solution } => commands::types::types(context, &solution).await?,
        Command::Call(args) => commands::actions::call(context, args).await?,
        Command::State(args) => commands::actions::state(context, args).await?,
        Command::Deposit(args) => commands::value::deposit(context, args).await?,
        Command::Withdraw(args) => commands::value::withdraw(context, args).await?,
        Command::Fund(args) => commands::value::fund(context, args).await?,
        Command::Exit(args) => commands::value::exit(context, args).await?,
        Command::Transfers(args) => commands::books::transfers(context, args).await?,
        Command::Approvals { command } => return commands::approvals::approvals(context, command).await,
        Command::Grants(command) => commands::grants::grants(context, command).await?,
        Command::Callers { command } => commands::callers::callers(context, command).await?,
        Command::Bridge(args) => bridge::bridge(context, args).await?,
        Command::App(command) => commands::apps::app(context, command).await?,
        Command::Policy { command } => commands::policies::policy(context, command).await?,
        Command::Screens { command } => commands::screens::screens(context, command).await?,
        Command::Notices(args) => commands::screens::notices(context, args).await?,
        Command::Activity(args) => commands::books::activity(context, args).await?,
        Command::Completions { shell } => commands::wallet::completions(shell),
        Command::Node(Node::Payments(args)) => match *args {
            PaymentsArgs { command: Some(PaymentsCommand::Exit(args)), .. } => {
                commands::value::leave(context, &args).await?
            }
            PaymentsArgs { node: Some(node), .. } => daemon::node(context, node).await?,
            PaymentsArgs { .. } => {
                anyhow::bail!("give --role, --rpc, --gateway and --data-dir, or --config; see --help")
            }
        },
        Command::Devnet(args) => devnet::run(context, &args).await?,
        Command::Demo(args) => return demo::run(context, &args).await,
        Command::Debug(Debug::WritePoints) => commands::wallet::write_points(context)?,
        Command::Debug(Debug::FetchAnvil) => {
            let path = devnet::anvil_path(context.out).await?;
            context.out.either(&json!({ "anvil": path }), |_| path.display().to_string())?;
        }
        Command::Debug(Debug::Tied { .. }) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an error with everything beneath it; plugin and chain may have written parts of it.
fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let rpc = error.downcast_ref::<ClientError>().and_then(ClientError::rpc);
    let code = exit_code(error);
    if json {
        let value = json!({ "error": {
            "code": rpc.map(|error| error.code),
            "message": format!("{error:#}"),
            "data": rpc.map(|error| &error.data),
        }});
        note(visible_json(&value, false));
    } else {
        note(format!("error: {}", visible(&format!("{error:#}"))));
    }
    ExitCode::from(code)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<NoWallet>() {
        return exit::NOT_RUNNING;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::NotRunning { .. }) => exit::NOT_RUNNING,
        Some(ClientError::Forbidden { .. }) => exit::UNAUTHORISED,
        Some(ClientError::Rpc(error)) if error.code == codes::REJECTED => exit::REJECTED,
        Some(ClientError::Rpc(error)) if error.code == codes::UNAUTHORISED => exit::UNAUTHORISED,
        _ => exit::FAILED,
    }
}
