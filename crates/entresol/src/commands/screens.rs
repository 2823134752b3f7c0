//! What plugins show and tell: screens and notices.

use anyhow::Context as _;
use entresol_host::messages::{NoticeView, ScreenView};
use entresol_host::screen::Answer;
use serde_json::{Map, Value as Json, json};

use crate::cli::{Notices, NoticesCommand, Screens};
use crate::context::{Context, Daemon};
use crate::output::{table, visible_lines};
use crate::times;

pub(crate) async fn screens(context: &Context, command: Option<Screens>) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command.unwrap_or(Screens::List) {
        Screens::List => {
            let list: Vec<ScreenView> = daemon.get("screens", json!({})).await?;
            context.out.either(&list, |list| {
                if list.is_empty() {
                    return "No plugin shows a screen.".to_owned();
                }
                let rows = list.iter().map(|screen| {
                    let waits = if screen.asks { "waits for your answer" } else { "shows something" };
                    [screen.id.to_string(), screen.solution.clone(), waits.to_owned()]
                });
                let table = table(&["#", "Plugin", "It"], rows);
                format!("{table}\nLook at one with `entresol screens show NUMBER`.")
            })
        }
        Screens::Show { id } => {
            let screen = screen(&mut daemon, id).await?;
            context.out.either(&screen, |screen| {
                format!(
                    "{}\n\nThis is the plugin's own screen; nothing that you answer here authorises anything in the \
                     wallet.\nPress a button with `entresol screens answer {id} BUTTON --field NAME=VALUE`.",
                    visible_lines(&screen.text)
                )
            })
        }
        Screens::Answer { id, button, fields } => {
            let shown = screen(&mut daemon, id).await?;
            let answer = Answer { button, fields: fields_of(&shown.screen, &fields)? };
            daemon.call("screen_answer", json!({ "id": id, "answer": answer })).await?;
            context.out.either(&json!({ "answered": id }), |_| "The plugin has your answer.".to_owned())
        }
        Screens::Close { id } => {
            daemon.call("screen_close", json!({ "id": id })).await?;
            context.out.either(&json!({ "closed": id }), |_| "The screen is closed.".to_owned())
        }
    }
}

async fn screen(daemon: &mut Daemon, id: u64) -> anyhow::Result<ScreenView> {
    let list: Vec<ScreenView> = daemon.get("screens", json!({})).await?;
    list.into_iter()
        .find(|screen| screen.id == id)
        .with_context(|| format!("there is no screen {id} (any more); see `entresol screens`"))
}

/// Type and name of every part of a screen that has a name.
fn named(node: &Json, found: &mut Vec<(String, String)>) {
    let kind = node["type"].as_str().unwrap_or_default();
    if let Some(name) = node["props"]["name"].as_str() {
        found.push((kind.to_owned(), name.to_owned()));
    }
    for child in node["children"].as_array().into_iter().flatten() {
        named(child, found);
    }
}

/// `NAME=VALUE` texts as the screen's fields; a checkbox takes true or false. The daemon checks them again.
fn fields_of(screen: &Json, texts: &[String]) -> anyhow::Result<Map<String, Json>> {
    let mut parts = Vec::new();
    named(screen, &mut parts);
    let mut fields = Map::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("`{text}` is not NAME=VALUE; give the field like `--field amount=5`"))?;
        let checkbox = parts.iter().any(|(kind, known)| known == name && kind == "Checkbox");
        let value = if checkbox {
            Json::Bool(value.parse().with_context(|| format!("`{name}` is a checkbox: true or false"))?)
        } else {
            Json::String(value.to_owned())
        };
        fields.insert(name.to_owned(), value);
    }
    Ok(fields)
}

pub(crate) async fn notices(context: &Context, args: Notices) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    if let Some(NoticesCommand::Read { mut ids }) = args.command {
        if ids.is_empty() {
            let unread: Vec<NoticeView> = daemon.get("notices", json!({ "all": false })).await?;
            ids = unread.into_iter().map(|notice| notice.id).collect();
        }
        for id in &ids {
            daemon.call("notice_read", json!({ "id": id })).await?;
        }
        return context.out.either(&json!({ "read": ids }), |_| match ids.len() {
            1 => "One notice is marked as read.".to_owned(),
            n => format!("{n} notices are marked as read."),
        });
    }
    let list: Vec<NoticeView> = daemon.get("notices", json!({ "all": args.all })).await?;
    context.out.either(&list, |list| {
        if list.is_empty() {
            return if args.all { "Nobody has told you anything.".to_owned() } else { "Nothing new.".to_owned() };
        }
        let rows = list.iter().map(|notice| {
            let from = match (&notice.solution, notice.plugin) {
                (Some(name), true) => format!("{name} says"),
                (Some(name), false) => format!("the wallet, about {name}"),
                (None, _) => "the wallet".to_owned(),
            };
            let action = notice
                .action
                .as_ref()
                .map(|action| format!("entresol call {} {action}", notice.solution.as_deref().unwrap_or_default()));
            [
                notice.id.to_string(),
                times::distance(i64::try_from(notice.created_at).unwrap_or(i64::MAX)),
                from,
                notice.level.clone(),
                notice.text.clone(),
                action.unwrap_or_default(),
            ]
        });
        let table = table(&["#", "When", "From", "Level", "Text", "It suggests"], rows);
        format!("{table}\nMark them as read with `entresol notices read`.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_take_the_type_of_their_part() {
        let screen = json!({ "type": "Form", "props": {}, "children": [
            { "type": "Input", "props": { "name": "note" }, "children": [] },
            { "type": "Checkbox", "props": { "name": "sure" }, "children": [] },
            { "type": "Button", "props": { "name": "go" }, "children": [] },
        ] });
        let texts = ["note=a=b".to_owned(), "sure=true".to_owned()];
        let fields = fields_of(&screen, &texts).expect("fields");
        assert_eq!(Json::Object(fields), json!({ "note": "a=b", "sure": true }));
        assert!(fields_of(&screen, &["sure=maybe".to_owned()]).is_err());
        assert!(fields_of(&screen, &["note".to_owned()]).is_err());
    }
}
