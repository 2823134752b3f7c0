//! Heavy work: WebAssembly assets of the package, in instances of their own, beside the script.

use super::Request;
use crate::error::{HostError, code};
use crate::plugin::assets::read_asset;
use crate::{Host, blocking, wire};
use entresol_package::Permission;
use entresol_sandbox::{Asset, ComputeError, ComputeLimits, Progress};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Pause between two reports of progress: a person cannot read faster, and an asset that tells all the time must not
/// keep its plugin busy with listening.
const PROGRESS_PAUSE: Duration = Duration::from_millis(50);

impl Host {
    /// Runs `export` of `asset` over the input that lies at the ticket; the output lies there afterwards.
    pub(super) async fn compute_run(&self, request: &Request) -> Result<Json, HostError> {
        let desk = &request.running.desk;
        let (begun, input) = desk.begin(ticket(&request.params))?;
        let (name, export) = (text(&request.params, "asset")?, text(&request.params, "export")?);
        let limits = self.compute_limits(request.running.id)?;
        let work = async {
            let asset = self.compiled(request, name).await?;
            let _turn = desk.running.acquire().await.map_err(|_| cancelled())?;
            let pool = &self.inner.computing;
            let _memory = pool.reserve(desk.share.get_or_init(|| pool.share()), limits.memory_bytes).await?;
            let mut computation = self.inner.engine.compute(&asset, export, input, &limits).map_err(failed)?;
            let mut told = computation.progress();
            let outcome = computation.outcome();
            tokio::pin!(outcome);
            loop {
                tokio::select! {
                    outcome = &mut outcome => return outcome.map_err(failed),
                    Ok(()) = told.changed() => {
                        let progress = *told.borrow_and_update();
                        begun.progress.send_replace(Some(progress));
                    }
                }
            }
        };
        let output = tokio::select! {
            () = begun.cancel.cancelled() => return Err(cancelled()),
            output = work => output?,
        };
        let length = begun.deliver(output)?;
        Ok(json!({ "length": length }))
    }

    /// Waits until the computation has told something new, or is over: then `null`.
    pub(super) async fn compute_progress(&self, request: &Request) -> Result<Json, HostError> {
        let mut progress = request.running.desk.progress(ticket(&request.params))?;
        let seen = request.params.get("seen").filter(|seen| !seen.is_null());
        let number = |name: &str| seen.and_then(|seen| wire::untag(&seen[name]).as_f64()).unwrap_or_default();
        let seen = Progress { done: number("done"), total: number("total") };
        tokio::time::sleep(PROGRESS_PAUSE).await;
        let news = progress.wait_for(|told| told.is_none_or(|told| told != seen)).await;
        match news.ok().and_then(|told| *told) {
            Some(told) => Ok(json!({ "done": told.done, "total": told.total })),
            None => Ok(Json::Null),
        }
    }

    /// The asset, compiled at its first use. Others of this plugin wait meanwhile, as they would for the compiler.
    async fn compiled(&self, request: &Request, name: &str) -> Result<Asset, HostError> {
        let mut compiled = request.running.desk.assets.lock().await;
        if let Some(asset) = compiled.get(name) {
            return Ok(asset.clone());
        }
        let declared = &request.running.assets;
        let entry = declared.iter().find(|asset| asset.name == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = declared.iter().map(|asset| asset.name.as_str()).collect();
            HostError::invalid(format!("compute: there is no asset {name:?}; the manifest has: {}", names.join(", ")))
        })?;
        let (home, folder) = (self.inner.config.home.clone(), request.running.package_folder.clone());
        let engine = self.inner.engine.clone();
        let asset = blocking(move || {
            let bytes = read_asset(&home, &folder, &entry)?;
            engine.asset(&bytes).map_err(failed)
        })
        .await?;
        compiled.insert(name.to_owned(), asset.clone());
        Ok(asset)
    }

    /// What the user granted, looked up at every use.
    fn compute_limits(&self, solution: i64) -> Result<ComputeLimits, HostError> {
        let mut limits = ComputeLimits::default();
        for permission in self.permissions(solution)? {
            if let Permission::Compute { memory, seconds } = permission {
                limits.memory_bytes = usize::try_from(memory.bytes()).unwrap_or(usize::MAX);
                limits.cpu = Duration::from_secs(u64::from(seconds));
            }
        }
        Ok(limits)
    }
}

fn ticket(params: &Json) -> u32 {
    params["ticket"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_default()
}

fn text<'a>(params: &'a Json, name: &str) -> Result<&'a str, HostError> {
    params[name].as_str().ok_or_else(|| HostError::invalid(format!("compute: {name} must be a string")))
}

fn cancelled() -> HostError {
    HostError::new(code::PLUGIN_ERROR, "the computation was cancelled").with(json!({ "reason": "cancelled" }))
}

/// The asset's mistakes are told to the script in words and with a reason that it can compare.
fn failed(error: ComputeError) -> HostError {
    let (number, reason) = match &error {
        ComputeError::Refused(_) | ComputeError::Interface(_) => (code::INVALID_PARAMS, "asset"),
        ComputeError::InputTooLarge { .. } | ComputeError::OutputTooLarge { .. } => (code::LIMIT, "size"),
        ComputeError::Deadline => (code::LIMIT, "time"),
        ComputeError::Memory => (code::LIMIT, "memory"),
        ComputeError::Failed(_) => (code::PLUGIN_ERROR, "failed"),
        ComputeError::Cancelled => (code::PLUGIN_ERROR, "cancelled"),
        ComputeError::Host(_) => return HostError::internal(crate::error::chain(&error)),
        _ => (code::PLUGIN_ERROR, "trap"),
    };
    HostError::new(number, error.to_string()).with(json!({ "reason": reason }))
}
