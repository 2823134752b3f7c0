//! Local apps: scripts and tools that reach the wallet by an address of their own.

use entresol_host::messages::AppView;
use serde_json::json;

use crate::cli::App;
use crate::context::Context;
use crate::output::{table, visible};
use crate::times;

pub(crate) async fn app(context: &Context, command: App) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command {
        App::Add { name } => {
            let added = daemon.call("app_add", json!({ "name": name })).await?;
            context.out.either(&added, |added| {
                let url = visible(added["url"].as_str().unwrap_or_default());
                format!(
                    "{url}\nThis is the app's address, shown once: whoever has it is the app. It is for programs on this \
                     machine, such as `cast … --rpc-url ADDRESS`;\neach asks you before it sees or does anything, as \
                     app:{}.",
                    visible(&name)
                )
            })
        }
        App::List => {
            let apps: Vec<AppView> = daemon.get("apps", json!({})).await?;
            context.out.either(&apps, |apps| {
                if apps.is_empty() {
                    return "There is no local app; make one with `entresol app add NAME`.".to_owned();
                }
                table(&["App", "Added"], apps.iter().map(|app| [app.name.clone(), times::utc(app.added_at)]))
            })
        }
        App::Remove { name } => {
            daemon.call("app_remove", json!({ "name": name })).await?;
            context.out.either(&json!({ "removed": name }), |_| {
                "The app is removed, at once, and with it all that it was granted; its address is of no more use."
                    .to_owned()
            })
        }
    }
}
