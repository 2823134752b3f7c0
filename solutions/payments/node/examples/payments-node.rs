//! The node as a process of its own, for tests that kill it. `entresol node payments` is the same with a better coat.

use clap::Parser;
use payments_node::NodeArgs;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    node: NodeArgs,
}

fn main() -> std::process::ExitCode {
    let arguments = match payments_node::config::with_config(std::env::args_os().collect(), &[]) {
        Ok(arguments) => arguments,
        Err(error) => {
            announce(&serde_json::json!({ "error": chain(&error) }).to_string());
            return std::process::ExitCode::FAILURE;
        }
    };
    let Command { node } = Command::parse_from(arguments);
    let outcome = tokio::runtime::Runtime::new().map_err(|error| error.to_string()).and_then(|runtime| {
        runtime
            .block_on(payments_node::run(node, |ready| announce(&serde_json::json!(ready).to_string())))
            .map_err(|error| chain(&error))
    });
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(text) => {
            announce(&serde_json::json!({ "error": text }).to_string());
            std::process::ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "this is the program's edge; its line is what the tests wait for")]
fn announce(line: &str) {
    println!("{line}");
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
