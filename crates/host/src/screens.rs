//! Screens that plugins show. They live as long as the plugin's instance; the wallet renders them in a frame with the
//! plugin's name. What the user answers goes to the plugin and authorises nothing in the wallet.

use crate::error::{HostError, code};
use crate::messages::ScreenView;
use crate::screen::{Answer, Kind, Node, Screen, render_text};
use crate::solutions::Running;
use crate::{Actor, Host, Operation, locked};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::oneshot;

/// Screens of one plugin that may be open at once.
const MAX_OPEN: usize = 8;
/// Input of the user that may wait for one plugin.
const MAX_INPUTS: usize = 64;
/// Screens shown or changed by one plugin in a minute.
const MAX_A_MINUTE: usize = 240;
/// Width of the terminal's rendering, in columns.
const TERMINAL: usize = 80;
/// The minute of the limit.
const MINUTE: Duration = Duration::from_secs(60);

struct Open {
    solution: i64,
    screen: Screen,
    /// Where the answer goes, if the plugin waits for one.
    ask: Option<oneshot::Sender<Answer>>,
}

#[derive(Default)]
struct Shown {
    last: u64,
    open: BTreeMap<u64, Open>,
    /// Input that waits for its plugin; an entry, even an empty one, means that a task tells it.
    inputs: HashMap<i64, VecDeque<Json>>,
}

/// All open screens of all plugins.
#[derive(Default)]
pub(crate) struct Screens {
    shown: Mutex<Shown>,
}

impl Screens {
    /// Screens that a plugin shows.
    pub(crate) fn count(&self, solution: i64) -> usize {
        locked(&self.shown).open.values().filter(|open| open.solution == solution).count()
    }

    /// Closes every screen of a plugin whose instance is gone.
    pub(crate) fn close_all(&self, solution: i64) {
        locked(&self.shown).open.retain(|_, open| open.solution != solution);
    }
}

/// Closes a screen that asks when nobody waits for its answer any more.
struct CloseOnDrop<'a> {
    host: &'a Host,
    id: u64,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if locked(&self.host.inner.screens.shown).open.remove(&self.id).is_some() {
            self.host.changed();
        }
    }
}

impl Host {
    /// Shows a screen. Without `ask` it stays open and its number is the answer; with `ask` it is open until the user
    /// answers: `{ button, fields }`.
    pub(crate) async fn display_ui(&self, running: &Running, screen: &Json, options: &Json) -> Result<Json, HostError> {
        let screen = Screen::parse(&crate::wire::untag(screen))?;
        let asks = match options {
            Json::Null => false,
            Json::Object(fields) if fields.keys().all(|name| name == "ask") => options["ask"] == true,
            _ => return Err(HostError::invalid("displayUi takes a screen and { ask: true }")),
        };
        self.inner.rates.take(running.id, "displayUi", MAX_A_MINUTE, MINUTE)?;
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut shown = locked(&self.inner.screens.shown);
            if shown.open.values().filter(|open| open.solution == running.id).count() >= MAX_OPEN {
                return Err(HostError::new(code::LIMIT, format!("{MAX_OPEN} screens are open already; close one")));
            }
            shown.last += 1;
            let id = shown.last;
            shown.open.insert(id, Open { solution: running.id, screen, ask: asks.then_some(sender) });
            id
        };
        self.changed();
        if !asks {
            return Ok(json!(id));
        }
        let _close = CloseOnDrop { host: self, id };
        match receiver.await {
            Ok(answer) => Ok(crate::wire::tag(&json!({ "button": answer.button, "fields": answer.fields }))),
            Err(_) => Err(HostError::new(code::REJECTED, "the user closed the screen")),
        }
    }

    /// Changes a screen of this plugin; `null` closes it.
    pub(crate) fn update_ui(&self, running: &Running, id: &Json, screen: &Json) -> Result<Json, HostError> {
        let id = id.as_u64().unwrap_or_default();
        let changed = if screen.is_null() { None } else { Some(Screen::parse(&crate::wire::untag(screen))?) };
        self.inner.rates.take(running.id, "displayUi", MAX_A_MINUTE, MINUTE)?;
        let mut shown = locked(&self.inner.screens.shown);
        let open = shown.open.get_mut(&id).filter(|open| open.solution == running.id);
        let open = open.ok_or_else(|| HostError::not_found(format!("updateUi: this plugin shows no screen {id}")))?;
        match changed {
            Some(screen) => open.screen = screen,
            None => {
                shown.open.remove(&id);
            }
        }
        drop(shown);
        self.changed();
        Ok(Json::Null)
    }

    /// The screens that are open.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn screens(&self, actor: &Actor) -> Result<Vec<ScreenView>, HostError> {
        self.authorize(actor, &Operation::Read, "screens")?;
        let shown = locked(&self.inner.screens.shown);
        let names = locked(&self.inner.solutions);
        let views = shown.open.iter().filter_map(|(id, open)| {
            let solution = names.get(&open.solution)?.name.clone();
            Some(ScreenView {
                id: *id,
                asks: open.ask.is_some(),
                screen: json!(open.screen),
                text: render_text(&open.screen, &solution, TERMINAL),
                solution,
            })
        });
        Ok(views.collect())
    }

    /// The user pressed a button. A screen that asks is closed by it; any other gives the plugin's hook `onUserInput`.
    ///
    /// # Errors
    /// Not authorised; no such screen; the answer does not fit the screen.
    pub async fn screen_answer(&self, actor: &Actor, id: u64, answer: Answer) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "screen_answer")?;
        let (solution, answer) = {
            let mut shown = locked(&self.inner.screens.shown);
            let open = shown.open.get_mut(&id).ok_or_else(|| closed(id))?;
            let answer = open.screen.answer(&answer)?;
            match open.ask.take() {
                Some(ask) => {
                    shown.open.remove(&id);
                    let _ = ask.send(answer);
                    drop(shown);
                    self.changed();
                    return Ok(());
                }
                None => (open.solution, answer),
            }
        };
        let event = json!({ "screen": id, "type": "press", "button": answer.button, "fields": answer.fields });
        self.user_input(solution, event)
    }

    /// The user changed a field of a screen.
    ///
    /// # Errors
    /// Not authorised; no such screen or field.
    pub async fn screen_event(&self, actor: &Actor, id: u64, field: &str, value: Json) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "screen_event")?;
        let solution = {
            let shown = locked(&self.inner.screens.shown);
            let open = shown.open.get(&id).ok_or_else(|| closed(id))?;
            let fits = match find_field(open.screen.root(), field) {
                Some(Kind::Checkbox) => value.is_boolean(),
                Some(_) => value.as_str().is_some_and(|text| text.len() <= MAX_FIELD),
                None => false,
            };
            if !fits {
                return Err(HostError::invalid(format!("the screen has no field {field:?} that takes this value")));
            }
            open.solution
        };
        self.user_input(solution, json!({ "screen": id, "type": "change", "field": field, "value": value }))
    }

    /// The user closed a screen. A plugin that waits for its answer is told so (4001).
    ///
    /// # Errors
    /// Not authorised; no such screen.
    pub async fn screen_close(&self, actor: &Actor, id: u64) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "screen_close")?;
        let open = locked(&self.inner.screens.shown).open.remove(&id).ok_or_else(|| closed(id))?;
        self.changed();
        if open.ask.is_some() {
            return Ok(());
        }
        self.user_input(open.solution, json!({ "screen": id, "type": "close" }))
    }

    /// Tells the plugin, one event after the other; the user does not wait for it.
    fn user_input(&self, solution: i64, event: Json) -> Result<(), HostError> {
        let running = self.running(solution)?;
        {
            let mut shown = locked(&self.inner.screens.shown);
            let waits = shown.inputs.get_mut(&solution);
            match waits {
                Some(queue) if queue.len() >= MAX_INPUTS => {
                    return Err(HostError::new(code::LIMIT, "the plugin is busy with earlier input; try again"));
                }
                Some(queue) => {
                    queue.push_back(event);
                    return Ok(());
                }
                // Nobody tells this plugin now: the task below does, until the queue is empty.
                None => shown.inputs.insert(solution, VecDeque::from([event])),
            };
        }
        let (host, cancel) = (self.clone(), self.child_token());
        self.spawn(async move {
            while let Some(event) = host.next_input(solution) {
                let hook = running.plugin.hook("onUserInput", crate::wire::tag(&event));
                tokio::select! {
                    () = cancel.cancelled() => return,
                    result = hook => if let Err(error) = result {
                        tracing::debug!(solution = %running.name, %error, "onUserInput failed");
                    }
                }
            }
        });
        Ok(())
    }

    fn next_input(&self, solution: i64) -> Option<Json> {
        let mut shown = locked(&self.inner.screens.shown);
        let next = shown.inputs.get_mut(&solution).and_then(VecDeque::pop_front);
        if next.is_none() {
            shown.inputs.remove(&solution);
        }
        next
    }
}

/// Longest value of one field, in bytes.
const MAX_FIELD: usize = 10_000;

fn find_field(node: &Node, name: &str) -> Option<Kind> {
    let input = matches!(node.kind, Kind::Input | Kind::Dropdown | Kind::Checkbox);
    if input && node.prop("name") == name {
        return Some(node.kind);
    }
    node.children.iter().find_map(|child| find_field(child, name))
}

fn closed(id: u64) -> HostError {
    HostError::not_found(format!("there is no screen {id}; it was closed"))
}
