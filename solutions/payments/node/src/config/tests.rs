use clap::{CommandFactory, FromArgMatches, Parser};
use tempfile::TempDir;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    Payments(Box<NodeArgs>),
}

const FILE: &str = r#"
role = "operator"
rpc = "http://127.0.0.1:8545"   # layer 1
gateway = "0x00000000000000000000000000000000000000AA"
data-dir = "/var/lib/op"
operator-key-file = "op.key"
keep-bond = "3000000000000000000"
poll-ms = 250
limit-loopback = true
"#;

fn file(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("node.toml");
    #[allow(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn parse(words: &[&str]) -> Result<(NodeArgs, ArgMatches), String> {
    let words = words.iter().map(OsString::from).collect();
    let words = with_config(words, &["payments"]).map_err(|error| error.to_string())?;
    let matches = Program::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
    let Program { command: Sub::Payments(args) } =
        Program::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    Ok((*args, matches.subcommand().expect("payments").1.clone()))
}

#[test]
fn a_file_gives_what_flags_would_and_flags_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(&folder, FILE);
    let (args, _) = parse(&["program", "payments", "--config", &file, "--poll-ms", "9"]).expect("parses");
    assert_eq!((args.poll_ms, args.batch_age_ms, args.limit_loopback), (9, 500, true));
    assert_eq!(args.keep_bond, alloy::primitives::U256::from(3_000_000_000_000_000_000u64));
    assert_eq!(args.operator_key_file.as_deref(), Some(Path::new("op.key")));
    let (args, _) = parse(&["program", "payments", &format!("--config={file}")]).expect("parses");
    assert_eq!(args.poll_ms, 250);
    let between = ["program", "--home", "x", "node", "--json", "payments", "--config", &file, "--poll-ms", "9"];
    let spliced = with_config(between.map(OsString::from).into(), &["node", "payments"]).expect("reads");
    assert_eq!((spliced.len(), &spliced[5], &spliced[14]), (18, &"payments".into(), &"--config".into()));
    // Without the file nothing changes.
    assert!(parse(&["program", "payments"]).expect_err("refused").contains("--role"));
}

#[test]
fn what_is_printed_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file_one = file(&folder, FILE);
    let (args, matches) =
        parse(&["program", "payments", "--config", &file_one, "--confirmations", "4", "--data-dir", "007"])
            .expect("parses");
    let printed = print(&matches);
    assert!(printed.contains("confirmations = 4\n") && printed.contains("role = \"operator\"\n"), "{printed}");
    assert!(printed.contains("limit-loopback = true\n") && !printed.contains("config"), "{printed}");
    let again = file(&folder, &printed);
    let (second, _) = parse(&["program", "payments", "--config", &again]).expect("parses");
    assert_eq!(
        format!("{:?}", NodeArgs { config: None, ..second }),
        format!("{:?}", NodeArgs { config: None, ..args })
    );
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, word) in [
        ("rolle = \"operator\"", "unknown key \"rolle\""),
        ("config = \"other.toml\"", "unknown key \"config\""),
        ("operator-key = \"ac0974\"", "unknown key \"operator-key\""),
        ("[limits]\nreads-per-second = 1", "unknown key \"limits\""),
        ("poll-ms = [1]", "poll-ms: expected a string or a whole number"),
        ("limit-loopback = 1", "limit-loopback: expected true or false"),
        ("poll-ms = 1.5", "poll-ms: expected"),
        ("poll-ms = ", "line 1"),
        ("poll-ms = 1\npoll-ms = 2", "poll-ms"),
        ("keep-bond = 99999999999999999999", "line 1"),
        ("poll-ms = -1", "--poll-ms"),
    ] {
        let file = file(&folder, text);
        let error = parse(&["program", "payments", "--config", &file]).expect_err(text);
        assert!(error.contains(word), "{text}: {error}");
    }
    let missing = parse(&["program", "payments", "--config", "/nowhere/node.toml"]).expect_err("refused");
    assert!(missing.contains("/nowhere/node.toml"), "{missing}");
}
