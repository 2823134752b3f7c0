//! Looking into plugins: what they use, what they did.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use entresol_host::messages::{PluginView, RecordingView};
use entresol_sandbox::record::{Input, MOST_RECORDED, Outcome, Read, Recording, Turn};
use entresol_sandbox::{Engine, Outgoing};
use serde_json::{Value as Json, json};

use crate::cli::Plugin;
use crate::context::Context;
use crate::output::{Progress, table, visible, visible_lines};
use crate::times::{distance, utc};

/// Characters of a message that `replay --show` prints.
const SHOWN: usize = 200;

pub(crate) async fn plugin(context: &Context, command: Plugin) -> anyhow::Result<()> {
    match command {
        Plugin::Inspect { solution } => {
            let mut daemon = context.daemon().await?;
            let view: PluginView = daemon.get("plugin_inspect", json!({ "solution": solution })).await?;
            context.out.either(&view, inspected)
        }
        Plugin::Record { solution, stop } => {
            let mut daemon = context.daemon().await?;
            let method = if stop { "plugin_record_stop" } else { "plugin_record" };
            let view: RecordingView = daemon.get(method, json!({ "solution": solution })).await?;
            context.out.either(&view, recorded)
        }
        Plugin::Replay { file, show } => replay(context, &file, show),
    }
}

fn bytes(number: u64) -> String {
    format!("{:.1} MiB", number as f64 / f64::from(1 << 20))
}

fn millis(micros: u64) -> String {
    let time = Duration::from_micros(micros);
    if time < Duration::from_secs(10) {
        return format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    }
    format!("{:.1} s", time.as_secs_f64())
}

fn inspected(view: &PluginView) -> String {
    let row = |name: &str, value: String| [name.to_owned(), value];
    let at = |moment: u64| distance(i64::try_from(moment).unwrap_or(i64::MAX));
    let mut rows = vec![
        row("Plugin", view.solution.clone()),
        row("Status", view.status.clone()),
        row("Starts", if view.background { "with the wallet".into() } else { "when it is asked for something".into() }),
    ];
    if let Some(started) = view.started_at {
        rows.push(row("Awake since", format!("{} ({})", utc(started), at(started))));
    }
    if let Some(next) = view.next_start_at {
        rows.push(row("Starts again", at(next)));
    }
    rows.extend([
        row("Lives", format!("{} started, {} ended badly, {} put to sleep", view.starts, view.ended, view.slept)),
        row("Memory", format!("{} of {}", bytes(view.memory_bytes), bytes(view.memory_limit))),
        row(
            "CPU",
            format!(
                "{} in {} turns, the longest {}",
                millis(view.cpu_micros),
                view.turns,
                millis(view.longest_turn_micros)
            ),
        ),
        row(
            "Waited for CPU",
            format!(
                "{} for others, {} held back for its share",
                millis(view.waited_micros),
                millis(view.throttled_micros)
            ),
        ),
        row("Calls", format!("{} ({} calls and hooks ended in an error)", view.calls, view.threw)),
        row("Hooks", format!("{} ({} delivered again)", view.hooks, view.hooks_again)),
        row("Requests", format!("{} to the wallet, layer 1 and the network", view.requests)),
        row(
            "Under way",
            format!(
                "{} calls and hooks, {} waiting, {} requests, {} timers, {} connections",
                view.open, view.waiting, view.open_requests, view.timers, view.connections
            ),
        ),
    ]);
    if let Some(file) = &view.recording {
        rows.push(row("Recorded to", file.clone()));
    }
    let mut text = table(&[], rows);
    if view.errors.is_empty() {
        text.push_str("\nNo errors since the wallet was started.");
        return text;
    }
    text.push_str("\nLast errors, the newest first:");
    for error in view.errors.iter().rev() {
        text.push_str(&format!("\n  {}  {}: {}", at(error.at), visible(&error.kind), visible(&error.message)));
        for line in error.stack.lines() {
            text.push_str(&format!("\n      {}", visible(line.trim())));
        }
    }
    text
}

fn recorded(view: &RecordingView) -> String {
    let file = visible(&view.file);
    if view.running {
        return format!(
            "The plugin was started afresh and is being recorded to {file}\n\
             ! The file will hold everything the plugin gets to know, its keys and secrets included: pass it on to nobody \
             who must not know them.\n\
             End it with `entresol plugin record {} --stop`.",
            visible(&view.solution)
        );
    }
    format!(
        "The recording is whole: {file}\nRun it again with `entresol plugin replay {file}`. It holds everything the plugin \
         got to know: remove it when you are done."
    )
}

fn replay(context: &Context, file: &Path, show: bool) -> anyhow::Result<()> {
    let known = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    // The digest at the end is not counted among what was recorded.
    anyhow::ensure!(known.len() <= MOST_RECORDED + 1024, "{} is too large for a recording", file.display());
    let content = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let recording = Recording::read(&content).with_context(|| file.display().to_string())?;
    let progress = Progress::new(context.out, "preparing the JavaScript engine");
    let cache = entresol_package::default_cache_dir().map(|dir| dir.join("engine"));
    let engine = Engine::new(cache.as_deref())?;
    progress.say(format!("running {} turns again", recording.turns.len()));
    let replayed = recording.replay(&engine).with_context(|| file.display().to_string())?;
    drop(progress);

    let note: Json = serde_json::from_str(&recording.header.note).unwrap_or(Json::Null);
    let scripts: Vec<Json> = recording
        .header
        .scripts
        .iter()
        .map(|script| json!({ "name": script.name, "sha256": hex::encode(script.digest()) }))
        .collect();
    let ended = match &replayed.ended {
        Outcome::Went(_) => "it went on".to_owned(),
        Outcome::TimeUp => "it used up the time of a turn".to_owned(),
        Outcome::Lost => "a fault of the wallet ended it".to_owned(),
        Outcome::Ended(reason) => reason.clone(),
    };
    let turns = || recording.turns.iter().enumerate().map(|(number, turn)| (number, shown(turn)));
    let mut found = json!({
        "same": true, "note": note, "engine": hex::encode(recording.header.engine), "scripts": scripts,
        "turns": replayed.turns, "reads": replayed.reads, "asked": replayed.asked,
        "memory": replayed.memory.map(hex::encode), "ended": ended,
    });
    if show {
        found["run"] = turns().map(|(number, lines)| json!({ "turn": number, "lines": lines })).collect();
    }
    context.out.either(&found, |found| {
        let mut text = String::new();
        for (number, lines) in turns().filter(|_| show) {
            text.push_str(&format!("turn {number}\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {}\n", visible(line))));
        }
        let mut rows = vec![["Result".to_owned(), "the same as recorded, to the byte".to_owned()]];
        for (label, field) in [("Solution", "solution"), ("Package", "package")] {
            if let Some(value) = note[field].as_str() {
                rows.push([label.to_owned(), value.to_owned()]);
            }
        }
        if let Some(at) = note["recordedAt"].as_u64() {
            rows.push(["Recorded".to_owned(), utc(at)]);
        }
        for script in &recording.header.scripts {
            rows.push(["Script".to_owned(), format!("{}  sha256 {}", script.name, hex::encode(script.digest()))]);
        }
        rows.push(["Turns".to_owned(), replayed.turns.to_string()]);
        rows.push(["Taken in".to_owned(), format!("{} random values, clock readings and answers", replayed.reads)]);
        rows.push(["Given out".to_owned(), format!("{} messages, timers, log lines and errors", replayed.asked)]);
        rows.push([
            "Memory".to_owned(),
            found["memory"].as_str().map_or("none".to_owned(), |digest| format!("sha256 {digest}")),
        ]);
        rows.push(["At the end".to_owned(), visible_lines(&ended)]);
        text.push_str(&table(&[], rows));
        text
    })
}

/// What entered in a turn (`>`), what it took (`<`) and what came out (`=`), a line each.
fn shown(turn: &Turn) -> Vec<String> {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let mut short: String = text.chars().take(SHOWN).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    };
    let mut lines = vec![match &turn.input {
        Input::Start => "> the scripts are evaluated".to_owned(),
        Input::Message(message) => format!("> {}", text(message)),
        Input::Timer(id) => format!("> timer {id} fires"),
    }];
    lines.extend(turn.reads.iter().map(|read| match read {
        // What it made of them may be a secret; the number is enough to follow a run.
        Read::Random { bytes, .. } => format!("< {} random bytes", bytes.len()),
        Read::Clock(now) => format!("< the clock: {}", utc(*now)),
        Read::Call { name, answer: Ok(answer), .. } => format!("< {name}: {} bytes", answer.len()),
        Read::Call { name, answer: Err(error), .. } => format!("< {name}: {error}"),
    }));
    match &turn.outcome {
        Outcome::Went(outgoing) => lines.extend(outgoing.iter().map(|one| match one {
            Outgoing::Message(message) => format!("= {}", text(message)),
            Outgoing::Log { text: line, .. } => format!("= log: {}", text(line.as_bytes())),
            Outgoing::Timer { id, delay_ms } => format!("= timer {id} in {delay_ms} ms"),
            Outgoing::ClearTimer { id } => format!("= no timer {id}"),
            Outgoing::Uncaught { message, stack } => {
                format!("= uncaught: {} {}", text(message.as_bytes()), text(stack.as_bytes()))
            }
        })),
        Outcome::TimeUp => lines.push("= it used up its time".to_owned()),
        Outcome::Lost => lines.push("= a fault of the wallet ended it".to_owned()),
        Outcome::Ended(reason) => lines.push(format!("= ended: {reason}")),
    }
    lines
}
