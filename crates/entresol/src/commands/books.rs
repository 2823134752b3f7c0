//! What happened: the activity journal, transfers, and both for a spreadsheet.

use std::io::Write;

use alloy::primitives::U256;
use entresol_host::messages::{ActivityFilter, ActivityView, LedgerFilter, LedgerRow, TransferView};
use serde_json::{Value as Json, json};

use crate::cli::{Activity, Period, Transfers};
use crate::commands::actions::WATCH_MS;
use crate::context::Context;
use crate::output::{table, visible};
use crate::times;
use crate::units::{decimal, ether};

/// Rows of the journal on a screen.
const ACTIVITY_ROWS: u32 = 50;
/// Rows that the daemon gives at once.
const PAGE: u32 = 10_000;

impl Period {
    /// Both ends in Unix milliseconds.
    fn bounds(&self) -> anyhow::Result<(Option<u64>, Option<u64>)> {
        let at = |text: &Option<String>| text.as_deref().map(times::past).transpose();
        let (since, until) = (at(&self.since)?, at(&self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            anyhow::bail!("--since lies after --until: nothing can be in between; exchange them");
        }
        Ok((since, until))
    }
}

/// The two are different formats of the same answer.
fn one_format(context: &Context, csv: bool) -> anyhow::Result<()> {
    if csv && context.out.is_json() {
        anyhow::bail!("give --csv or --json, not both");
    }
    Ok(())
}

pub(crate) async fn activity(context: &Context, args: Activity) -> anyhow::Result<()> {
    one_format(context, args.csv)?;
    let (since, until) = args.period.bounds()?;
    let all = args.csv && args.limit.is_none();
    let mut filter = ActivityFilter {
        limit: Some(if all { PAGE } else { args.limit.unwrap_or(ACTIVITY_ROWS) }),
        solution: args.solution,
        actor: args.actor,
        action: args.action,
        since,
        until,
        before: None,
    };
    let mut daemon = context.daemon().await?;
    let mut rows: Vec<ActivityView> = daemon.get("activity", filter.clone()).await?;
    while all && rows.len().is_multiple_of(usize::try_from(PAGE).unwrap_or(usize::MAX)) && !rows.is_empty() {
        filter.before = rows.last().and_then(|row| u64::try_from(row.id).ok());
        let more: Vec<ActivityView> = daemon.get("activity", filter.clone()).await?;
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    if args.csv {
        return activity_csv(&rows, std::io::stdout().lock());
    }
    let asked = filter.limit.unwrap_or_default();
    context.out.either(&rows, |rows| {
        if rows.is_empty() {
            return "Nothing was done that fits; leave out a filter to see more.".to_owned();
        }
        let mut text = table(
            &["#", "When", "Who", "Did", "On", "Detail", "Outcome"],
            rows.iter().map(|row| {
                [
                    row.id.to_string(),
                    times::distance(row.at),
                    row.actor.clone(),
                    row.action.clone(),
                    row.resource.clone(),
                    detail(&row.detail),
                    row.outcome.clone().unwrap_or_else(|| "no end yet".to_owned()),
                ]
            }),
        );
        if u32::try_from(rows.len()).is_ok_and(|count| count == asked) {
            text.push_str(&format!("\nThese are the newest {asked}; see more with --limit, or filter."));
        }
        text
    })
}

/// An object of plain values as `name: value, …`, without what is empty.
fn detail(value: &Json) -> String {
    let empty = |value: &Json| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let plain = |value: &Json| empty(value) || !(value.is_object() || value.is_array());
    match value {
        Json::Null => String::new(),
        Json::Object(fields) if fields.values().all(plain) => fields
            .iter()
            .filter(|(_, value)| !empty(value))
            .map(|(name, value)| format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

fn activity_csv(rows: &[ActivityView], out: impl Write) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["date", "who", "did", "on", "detail", "outcome"])?;
    for row in rows {
        csv.write_record([
            times::iso(u64::try_from(row.at).unwrap_or(0)),
            cell(&row.actor),
            cell(&row.action),
            cell(&row.resource),
            cell(&if row.detail.is_null() { String::new() } else { row.detail.to_string() }),
            cell(row.outcome.as_deref().unwrap_or("no end yet")),
        ])?;
    }
    csv.flush()?;
    Ok(())
}

pub(crate) async fn transfers(context: &Context, args: Transfers) -> anyhow::Result<()> {
    one_format(context, args.csv)?;
    let (since, until) = args.period.bounds()?;
    let mut daemon = context.daemon().await?;
    if args.csv {
        let filter = LedgerFilter { solution: args.solution, since, until };
        let rows: Vec<LedgerRow> = daemon.get("ledger", filter).await?;
        return ledger_csv(&rows, std::io::stdout().lock());
    }
    let mut shown: Option<Json> = None;
    let mut changes: u64 = 0;
    loop {
        let mut list: Vec<TransferView> = daemon.get("transfers", json!({ "solution": args.solution })).await?;
        let within = since.unwrap_or(0)..until.unwrap_or(u64::MAX);
        list.retain(|transfer| within.contains(&u64::try_from(transfer.created_at).unwrap_or(0)));
        let now = serde_json::to_value(&list)?;
        if shown.as_ref() != Some(&now) {
            context.out.either(&list, |list| transfers_table(list))?;
            shown = Some(now);
        }
        if !args.watch {
            return Ok(());
        }
        changes = daemon.get("changes_wait", json!({ "after": changes, "timeoutMs": WATCH_MS })).await?;
    }
}

fn transfers_table(list: &[TransferView]) -> String {
    if list.is_empty() {
        return "Nothing has been deposited, withdrawn or paid.".to_owned();
    }
    let plugins = list.iter().any(|transfer| transfer.plugin);
    let table = table(
        &["#", "Solution", "Kind", "Function", "Amount", "Stage", "Transaction", "Gas", "Block", "When"],
        list.iter().map(|t| {
            [
                t.id.to_string(),
                t.solution.clone(),
                if t.plugin { format!("{} *", t.kind) } else { t.kind.clone() },
                t.function.split('(').next().unwrap_or_default().to_owned(),
                // A withdrawal sends nothing; what it brings is the layer 2's to say.
                if t.amount == "0" { String::new() } else { amount(&t.amount, &t.asset) },
                t.stage.clone(),
                t.transaction.clone().unwrap_or_default(),
                t.gas_used.map(|gas| gas.to_string()).unwrap_or_default(),
                t.block.map(|block| block.to_string()).unwrap_or_default(),
                times::distance(t.created_at),
            ]
        }),
    );
    if plugins { format!("{table}\n* as the plugin tells it; the wallet cannot check that.") } else { table }
}

/// An amount with its unit: ETH in whole ones, anything else in its smallest unit.
fn amount(number: &str, asset: &str) -> String {
    match asset {
        "" | "ETH" => ether(number),
        other => format!("{number} units of {other}"),
    }
}

/// The books, one line a movement. `amount` is in the asset's smallest unit; `amount_eth` and `fee_eth` are the same
/// in whole ETH, and empty where the asset is another.
fn ledger_csv(rows: &[LedgerRow], out: impl Write) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([
        "date",
        "kind",
        "solution",
        "asset",
        "amount",
        "amount_eth",
        "from",
        "counterparty",
        "fee_wei",
        "fee_eth",
        "transaction",
        "state",
        "told_by",
    ])?;
    let eth = |wei: &str| U256::from_str_radix(wei, 10).map_or_else(|_| String::new(), |wei| decimal(wei, 18));
    for row in rows {
        let fee = row.fee.as_deref();
        csv.write_record([
            times::iso(row.at),
            cell(&row.kind),
            cell(row.solution.as_deref().unwrap_or_default()),
            cell(&row.asset),
            cell(&row.amount),
            if row.asset == "ETH" { eth(&row.amount) } else { String::new() },
            cell(row.from.as_deref().unwrap_or_default()),
            cell(row.counterparty.as_deref().unwrap_or_default()),
            cell(fee.unwrap_or_default()),
            fee.map(eth).unwrap_or_default(),
            cell(row.transaction.as_deref().unwrap_or_default()),
            cell(&row.state),
            if row.plugin { "plugin" } else { "layer 1" }.to_owned(),
        ])?;
    }
    csv.flush()?;
    Ok(())
}

/// A cell that a spreadsheet shows and does not run: sites and plugins choose some of these words. A leading `=`, `+`,
/// `-` or `@`, also behind blanks, gets an apostrophe before it (OWASP, CSV injection); acting characters are written out.
fn cell(text: &str) -> String {
    let text = visible(text);
    match text.trim_start().chars().next() {
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') => format!("'{text}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> LedgerRow {
        LedgerRow {
            at: 1_795_343_400_000,
            kind: "deposit".into(),
            solution: Some("payments".into()),
            amount: "1500000000000000000".into(),
            asset: "ETH".into(),
            from: Some("0xaa".into()),
            counterparty: Some("0xbb".into()),
            fee: Some("21000".into()),
            transaction: Some("0x11".into()),
            state: "confirmed".into(),
            plugin: false,
        }
    }

    fn written(rows: &[LedgerRow]) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        ledger_csv(rows, &mut out).expect("written");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
        reader.records().map(|record| record.expect("CSV").iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn the_books_are_a_table_with_a_header() {
        let lines = written(&[row()]);
        assert_eq!(lines[0].len(), lines[1].len());
        let by = |name: &str| lines[1][lines[0].iter().position(|field| field == name).expect("a column")].as_str();
        assert_eq!(by("date"), "2026-11-22T10:30:00Z");
        assert_eq!((by("amount"), by("amount_eth")), ("1500000000000000000", "1.5"));
        assert_eq!((by("fee_wei"), by("fee_eth")), ("21000", "0.000000000000021"));
        assert_eq!(by("told_by"), "layer 1");
    }

    #[test]
    fn no_cell_is_run_by_a_spreadsheet() {
        let hostile =
            ["=HYPERLINK(\"http://x\")", "+1", "-1+1", "@SUM(A1)", "  =1", "\t=1", "\r\n=1", "＝1", "a,\"b\"\n=c"];
        for text in hostile {
            let rows = [LedgerRow { asset: text.into(), state: text.into(), plugin: true, ..row() }];
            for line in written(&rows).iter().skip(1).flatten() {
                let first = line.chars().next();
                assert!(!matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | ' ')), "{line:?}");
                assert!(!line.contains('\n'), "{line:?}");
            }
        }
        assert_eq!(cell("plain"), "plain");
    }

    #[test]
    fn details_are_read_as_words() {
        assert_eq!(detail(&json!({ "approval": 3, "value": "7" })), "approval: 3, value: 7");
        assert_eq!(detail(&json!(null)), "");
        assert_eq!(detail(&json!({ "id": null, "params": {} })), "");
        assert_eq!(detail(&json!({ "a": [1] })), "{\"a\":[1]}");
    }

    #[test]
    fn a_period_that_holds_nothing_is_refused() {
        let period = Period { since: Some("1d".into()), until: Some("7d".into()) };
        assert!(period.bounds().expect_err("refused").to_string().contains("exchange"));
        let period = Period { since: Some("7d".into()), until: None };
        assert!(period.bounds().expect("a period").0.is_some());
    }
}
