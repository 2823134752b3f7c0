//! Calling a plugin's actions, and reading what it publishes.

use anyhow::{Context as _, bail};
use entresol_host::messages::{ActionView, ApprovalView, CallInput, ParamView, SolutionView, StateView};
use serde_json::{Map, Value as Json, json};

use crate::cli;
use crate::context::Context;
use crate::output::{Progress, table, visible};
use crate::units::{amount_with_unit, ether, parse_amount};

/// How long a watcher asks the daemon to hold the line.
pub(crate) const WATCH_MS: u64 = 30_000;

pub(crate) async fn call(context: &Context, args: cli::Call) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let solution: SolutionView = daemon.get("solution", json!({ "solution": args.solution })).await?;
    let Some(action) = solution.actions.iter().find(|action| action.name == args.action) else {
        bail!("{} has no action `{}`; see `entresol actions {}`", args.solution, args.action, args.solution);
    };
    let params = params(action, &args.params)?;
    let input = CallInput { solution: args.solution, action: args.action, params, id: args.id };
    let progress = Progress::new(context.out, format!("{}: {}", visible(&solution.name), visible(&action.name)));
    let call = daemon.call("call", input);
    tokio::pin!(call);
    // The action may ask for layer-1 calls on its way: tell that they wait, or nobody will ever decide them.
    let answer = tokio::select! {
        answer = &mut call => answer?,
        failed = tell_requests(context, &solution.name, &progress) => {
            tracing::debug!(error = ?failed.err(), "requests are no longer watched");
            call.await?
        }
    };
    drop(progress);
    context.out.either(&answer, |answer| match answer {
        Json::Object(object) => table(&[], object.iter().map(|(name, value)| [name.clone(), plain(value)])),
        Json::Null => "done".to_owned(),
        other => visible(&plain(other)),
    })
}

/// Tells each request of a solution that waits, once. Ends only with an error.
async fn tell_requests(context: &Context, solution: &str, progress: &Progress) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let mut told = Vec::new();
    let mut changes: u64 = 0;
    loop {
        let pending: Vec<ApprovalView> = daemon.get("approvals", json!({ "all": false })).await?;
        for approval in pending.iter().filter(|approval| approval.solution.as_deref() == Some(solution)) {
            if !told.contains(&approval.id) {
                told.push(approval.id);
                let (id, sentence) = (approval.id, visible(&approval.sentence));
                progress.above(format!("waits for you: {sentence}\n  decide with `entresol approvals approve {id}`"));
            }
        }
        changes = daemon.get("changes_wait", json!({ "after": changes, "timeoutMs": WATCH_MS })).await?;
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `NAME=VALUE` texts as JSON values of the action's types. The daemon checks them again.
fn params(action: &ActionView, texts: &[String]) -> anyhow::Result<Map<String, Json>> {
    let mut values = Map::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("`{text}` is not NAME=VALUE; the action is {}", action.signature))?;
        let Some(param) = action.params.iter().find(|param| param.name == name) else {
            bail!("`{}` has no parameter `{name}`; it is {}", action.name, action.signature);
        };
        if values.insert(name.to_owned(), typed(param, value)?).is_some() {
            bail!("parameter `{name}` is given twice");
        }
    }
    if let Some(missing) = action.params.iter().find(|param| !values.contains_key(&param.name)) {
        bail!(
            "parameter `{}` is missing; give --param {}=…; the action is {}",
            missing.name,
            missing.name,
            action.signature
        );
    }
    Ok(values)
}

fn typed(param: &ParamView, text: &str) -> anyhow::Result<Json> {
    let ParamView { name, ty, .. } = param;
    if ty.ends_with(']') || ty.starts_with('(') || ty.starts_with("tuple") {
        return serde_json::from_str(text).with_context(|| format!("parameter `{name}` ({ty}) is written as JSON"));
    }
    if ty == "bool" {
        return Ok(Json::Bool(text.parse().with_context(|| format!("parameter `{name}` is true or false"))?));
    }
    if ty.starts_with("uint") {
        let hex = text.starts_with("0x");
        let value = if hex {
            text.to_owned()
        } else {
            parse_amount(text).with_context(|| format!("parameter `{name}`"))?.to_string()
        };
        return Ok(Json::String(value));
    }
    Ok(Json::String(text.to_owned()))
}

/// Arguments of a gateway function: JSON where it is a list, an object or a truth value, an amount where a unit is
/// named, else text.
pub(crate) fn arguments(texts: &[String]) -> Vec<Json> {
    texts
        .iter()
        .map(|text| match serde_json::from_str(text) {
            Ok(value @ (Json::Array(_) | Json::Object(_) | Json::Bool(_))) => value,
            _ => Json::String(amount_with_unit(text).map_or_else(|| text.clone(), |wei| wei.to_string())),
        })
        .collect()
}

pub(crate) async fn state(context: &Context, args: cli::State) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let view: SolutionView = daemon.get("solution", json!({ "solution": args.solution })).await?;
    let names = (!args.names.is_empty()).then_some(args.names);
    let mut shown: Option<Json> = None;
    let mut changes: u64 = 0;
    loop {
        let refresh = args.refresh && shown.is_none();
        let params = json!({ "solution": args.solution, "names": names, "refresh": refresh });
        let state: StateView = daemon.get("state", params).await?;
        if shown.as_ref() != Some(&state.state) {
            context.out.either(&state, state_table)?;
            shown = Some(state.state);
        }
        if !args.watch {
            if context.out.is_json() || matches!(view.plugin.as_str(), "running" | "asleep") {
                return Ok(());
            }
            context.out.line(format!("The plugin is {}; this is what it published last.", visible(&view.plugin)));
            return Ok(());
        }
        changes = daemon.get("changes_wait", json!({ "after": changes, "timeoutMs": WATCH_MS })).await?;
    }
}

fn state_table(state: &StateView) -> String {
    let Some(object) = state.state.as_object() else { return visible(&state.state.to_string()) };
    table(
        &["State", "Value"],
        object.iter().map(|(name, value)| {
            let text = plain(value);
            // A large decimal string under that name is wei; say it for people, keep the exact number beside it.
            let text = if name == "balance" && text.len() > 9 { format!("{text} ({})", ether(&text)) } else { text };
            [name.clone(), text]
        }),
    )
}

#[cfg(test)]
mod tests;
