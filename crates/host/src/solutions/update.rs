//! Another package for a solution that is there: what is compared and shown, what is refused, and the switch.
//!
//! **The same solution.** An update keeps name, network, gateway, URLs, owner, key path, database, accounts and history,
//! so it takes the same package only: whoever writes another one must not come by these keys and these data.
//!
//! **Tried before it counts.** The new script is evaluated when it is proposed, for what it declares, and once more with
//! its own limits and context right before the switch: one that does not start, or declares otherwise than agreed,
//! changes nothing. What it does after that (`onUpdate`, `onStart`) is its life, which fails as any other; the way
//! back is an update to the version before, which the user decides as well.
//!
//! **Who ends when.** The running instance is drained before the one transaction that switches. A wallet that dies in
//! between has changed nothing and carries out the approved request at its next start; after it, it starts the new
//! version.

use super::{Calls, asset_text, install_warnings, kept_grants, load_package, offered, permission_text, pinned};
use crate::approvals::{Proposal, Requester};
use crate::callers::Caveats;
use crate::error::{HostError, code};
use crate::gateway::parse_address;
use crate::interface::{Action, Interface, Typed};
use crate::messages::{ApprovalView, Row, UpdateInput};
use crate::plugin::instantiate;
use crate::policy::Rule;
use crate::text::{quoted, row};
use crate::wallet::{Contracts, export_warnings};
use crate::{Actor, Host, Operation, blocking, now};
use alloy::primitives::keccak256;
use entresol_package::registry::compare_versions;
use entresol_package::{Manifest, Package, Permission};
use entresol_store::{
    Approval, Consent, JournalIntent as Intent, NewSolution, Solution, SolutionStatus, SolutionUpdate, StoreError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// What the user decides at an update: every input, resolved. Its digest is the intent's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UpdatePlan {
    solution: i64,
    /// SHA-512 of the package that it takes the place of.
    from_sha512: String,
    /// The solution as it will be.
    spec: NewSolution,
    /// Permissions that the version before did not ask for.
    pub(super) grants: Vec<String>,
}

impl UpdatePlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol update\0".as_slice(), &bytes].concat()).to_string())
    }
}

pub(crate) fn update_plan(intent: &Json) -> Result<UpdatePlan, HostError> {
    serde_json::from_value(intent.clone()).map_err(|e| HostError::internal(format!("update plan: {e}")))
}

/// One side of an update, typed.
struct Side<'a> {
    spec: &'a NewSolution,
    manifest: Manifest,
    interface: Interface,
}

impl<'a> Side<'a> {
    fn new(spec: &'a NewSolution) -> Result<Self, HostError> {
        let manifest = serde_json::from_value(spec.manifest.clone())
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        Ok(Self { spec, manifest, interface: Interface::parse(&spec.interface)? })
    }

    fn asks_for(&self, permission: &Permission) -> bool {
        self.manifest.requested().contains(permission) || self.manifest.optional().contains(permission)
    }
}

impl Host {
    /// Proposes another version of a solution's package. Fetches and checks it as an install does, reads its interface
    /// without any capability, and puts what would change before the user. Nothing changes until it is approved.
    ///
    /// # Errors
    /// Not authorised; not found; another package; not a newer version, where that was not said to be meant; older data;
    /// a script that does not start. Nothing has changed then.
    pub async fn solution_update(&self, actor: &Actor, input: UpdateInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "solution_update")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let solution = self.find(&input.solution)?;
        let old = Side::new(&solution.spec)?;
        self.room_for(&Requester::of(actor))?;
        let package = load_package(&input.script).await?;
        check_lineage(&old, &package, input.allow_not_newer)?;
        let chain_id = self.chain_id(&solution.spec)?;
        let interface = self.declared(&package, chain_id, &solution.spec.name).await?;
        let package_dir = self.keep_package(&input.script, &package).await?;
        let json = |e: serde_json::Error| HostError::internal(e.to_string());
        let spec = NewSolution {
            title: package.manifest.title.clone(),
            package_version: package.version.clone(),
            package_sha512: package.sha512.to_hex(),
            package_dir: package_dir.display().to_string(),
            interface_digest: interface.digest()?.to_string(),
            interface: serde_json::to_value(&interface).map_err(json)?,
            manifest: serde_json::to_value(&package.manifest).map_err(json)?,
            ..solution.spec.clone()
        };
        let held = self.permissions(solution.id)?;
        let asked_before = old.manifest.requested();
        let asked = package.manifest.requested().into_iter();
        let asked = asked.filter(|one| !held.contains(one) && !asked_before.contains(one));
        let plan = UpdatePlan {
            solution: solution.id,
            from_sha512: solution.spec.package_sha512.clone(),
            spec,
            grants: asked.map(|one| permission_text(&one)).collect::<Result<_, _>>()?,
        };
        let new = Side::new(&plan.spec)?;
        let rows = self.update_rows(&old, &new, &held, chain_id)?;
        let warnings = self.update_warnings(&solution, &old, &new, chain_id)?;
        let sentence = format!(
            "Update the solution {:?} from {} {} to {}?",
            solution.spec.name, solution.spec.package_name, solution.spec.package_version, package.version
        );
        self.submit(Proposal {
            request_key: input.request_key,
            solution: Some(solution.id),
            rows,
            warnings,
            ..Proposal::new("update", Requester::of(actor), plan.digest()?, &plan, sentence)?
        })
        .await
    }

    fn update_rows(
        &self,
        old: &Side<'_>,
        new: &Side<'_>,
        held: &[Permission],
        chain_id: u64,
    ) -> Result<Vec<Row>, HostError> {
        let arrow = |before: &str, after: &str| format!("{before} → {after}");
        let mut rows = vec![
            row("Package", &new.spec.package_name),
            row("Version", arrow(&old.spec.package_version, &new.spec.package_version)),
            row("SHA-512 from now on", &new.spec.package_sha512),
            row("SHA-512 until now", &old.spec.package_sha512),
        ];
        if old.spec.title != new.spec.title {
            rows.push(row("Calls itself", arrow(&quoted(&old.spec.title), &quoted(&new.spec.title))));
        }
        let (before, after) = (old.manifest.data_version, new.manifest.data_version);
        if before != after {
            rows.push(row("Data version", arrow(&before.to_string(), &after.to_string())));
        }
        let asked_before = old.manifest.requested();
        for permission in new.manifest.requested() {
            if held.contains(&permission) {
                rows.push(row("May as before", permission.to_string()));
            } else if asked_before.contains(&permission) {
                rows.push(row("Stays refused", permission.to_string()));
            } else {
                rows.push(row("May", permission.to_string()));
            }
        }
        for permission in held {
            if !new.asks_for(permission) {
                rows.push(row("May no longer", permission.to_string()));
            } else if new.manifest.optional().contains(permission) && !new.manifest.requested().contains(permission) {
                rows.push(row("May as before", permission.to_string()));
            }
        }
        rows.extend(contract_rows(old, new, chain_id)?);
        let (before, after) = (&old.manifest.assets, &new.manifest.assets);
        for asset in after {
            match before.iter().find(|other| other.name == asset.name) {
                None => rows.push(row("New asset", asset_text(asset))),
                Some(other) if other.sha256 != asset.sha256 || other.url != asset.url => {
                    rows.push(row("Other asset", asset_text(asset)));
                }
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|one| !after.iter().any(|other| other.name == one.name));
        rows.extend(gone.map(|asset| row("No asset any more", quoted(&asset.name))));
        rows.extend(interface_rows(&old.interface, &new.interface));
        for url in &new.spec.network_urls {
            rows.push(row("Layer-2 URL as before", url));
        }
        Ok(rows)
    }

    fn update_warnings(
        &self,
        solution: &Solution,
        old: &Side<'_>,
        new: &Side<'_>,
        chain_id: u64,
    ) -> Result<Vec<String>, HostError> {
        let gateway = new.spec.gateway.as_deref().map(|text| parse_address("gateway", text)).transpose()?;
        let mut warnings = Vec::new();
        match compare_versions(&new.spec.package_version, &old.spec.package_version) {
            Some(Ordering::Greater) => {}
            Some(Ordering::Equal) => warnings
                .push("It has the same version number as the package that is there, and other contents.".to_owned()),
            _ => {
                warnings.push("It is OLDER than the package that is there: mistakes that were mended come back.".into())
            }
        }
        // Keys that the script holds already are no news; to get them, or the network to send them with, is.
        if export_warnings(&old.manifest.requested()) != export_warnings(&new.manifest.requested()) {
            warnings.extend(export_warnings(&new.manifest.requested()));
        }
        warnings.extend(
            install_warnings(&new.spec.network_urls, &new.manifest, chain_id, gateway, false)
                .into_iter()
                .filter(|warning| !export_warnings(&new.manifest.requested()).contains(warning)),
        );
        let changes = Changes::between(old, new, chain_id)?;
        let policies = self.store().policies(&entresol_store::PolicyFilter {
            solution: Some(solution.id),
            state: Some(entresol_store::PolicyState::Active),
            ..entresol_store::PolicyFilter::default()
        })?;
        let paused = policies.iter().filter(|policy| changes.touch(&policy.rule)).count();
        if paused > 0 {
            warnings.push(format!(
                "{paused} of your policies rest on what changes; they are paused until you say `entresol policy resume`."
            ));
        }
        Ok(warnings)
    }

    /// Carries out an approved update. Called once more after a crash, it finds its own end.
    pub(crate) async fn execute_update(&self, approval: &Approval) -> Result<(), HostError> {
        let plan = update_plan(&approval.request.intent)?;
        let refused: Vec<String> = serde_json::from_value(approval.choice["refuse"].clone()).unwrap_or_default();
        let _one_at_a_time = self.inner.lives.lock().await;
        let solution = self.store().solution(plan.solution)?;
        let solution = solution
            .filter(|row| row.status != SolutionStatus::Removed && row.spec.package_sha512 == plan.from_sha512)
            .ok_or_else(|| HostError::from(StoreError::SolutionChanged { id: plan.solution }))?;
        let (old, new) = (Side::new(&solution.spec)?, Side::new(&plan.spec)?);
        let chain_id = self.chain_id(&solution.spec)?;
        let held = self.permissions(solution.id)?;
        let (stays, goes): (Vec<_>, Vec<_>) = held.into_iter().partition(|permission| new.asks_for(permission));
        let granted = kept_grants(&plan.grants, &refused)?;
        self.try_start(&solution, &plan, &new, &stays, &granted).await?;

        let changes = Changes::between(&old, &new, chain_id)?;
        let update = SolutionUpdate {
            from_sha512: plan.from_sha512.clone(),
            title: plan.spec.title.clone(),
            package_version: plan.spec.package_version.clone(),
            package_sha512: plan.spec.package_sha512.clone(),
            package_dir: plan.spec.package_dir.clone(),
            interface_digest: plan.spec.interface_digest.clone(),
            interface: plan.spec.interface.clone(),
            manifest: plan.spec.manifest.clone(),
            granted,
            revoked: goes.iter().map(permission_text).collect::<Result<_, _>>()?,
            reason: format!("what it rests on has changed with version {}", plan.spec.package_version),
            note: (
                updated_key(solution.id),
                json!({ "fromVersion": old.spec.package_version, "fromDataVersion": old.manifest.data_version }),
            ),
        };
        let intent = Intent {
            solution: Some(solution.id),
            actor: "user".into(),
            action: "update".into(),
            resource: format!("{}@{}", plan.spec.package_name, plan.spec.package_version),
            detail: json!({
                "approval": approval.id, "fromVersion": old.spec.package_version,
                "fromSha512": plan.from_sha512, "sha512": plan.spec.package_sha512,
            }),
        };
        // A call that waits was made of the actions of the version before.
        let calls = if changes.is_empty() { Calls::HandOver } else { Calls::Refuse };
        let paused = self
            .journaled(intent, async {
                let waiting = self.drain(solution.id, calls).await;
                let pauses = |rule: &Json| changes.touch(rule);
                let narrows = |caveats: &Json| changes.narrow(caveats);
                let consent = Consent { pauses: &pauses, narrows: &narrows };
                let outcome = json!({ "solution": solution.spec.name, "version": plan.spec.package_version });
                let switched =
                    self.store().update_solution(solution.id, &update, &consent, (approval.id, &outcome), now());
                self.stop_solution(solution.id);
                let (next, switched) = match switched {
                    Ok((updated, paused)) => (updated, Ok(paused)),
                    Err(error) => (solution.clone(), Err(error)),
                };
                // Whatever came of it: what was told and not finished is told to whichever version there is.
                let started = self.start_solution(&next, super::Begin::Now, waiting);
                let paused = switched?;
                started.map(|()| paused)
            })
            .await?;
        if paused > 0 {
            let words =
                format!("{paused} policies are paused: {}. Look at it, then `entresol policy resume`.", update.reason);
            self.notice(Some(solution.id), "warning", &words);
        }
        if old.spec.interface_digest != new.spec.interface_digest {
            self.expire_requests("the solution was updated; ask again", |request| {
                request.solution == Some(solution.id) && matches!(request.kind.as_str(), "call" | "caller")
            })?;
        }
        self.access_changed();
        self.changed();
        Ok(())
    }

    /// Evaluates the new script as its first life will be, without any capability: a script that would not start is
    /// found while the other one still runs.
    async fn try_start(
        &self,
        solution: &Solution,
        plan: &UpdatePlan,
        new: &Side<'_>,
        stays: &[Permission],
        granted: &[String],
    ) -> Result<(), HostError> {
        let (folder, pin) = (self.package_folder(&plan.spec), pinned(&plan.spec.package_sha512)?);
        let package = blocking(move || Package::load_stored(&folder, &pin)).await?;
        let mut permissions = stays.to_vec();
        for text in granted {
            permissions.push(super::parse_permission(text)?);
        }
        let gateway = plan.spec.gateway.as_deref().map(|text| parse_address("gateway", text)).transpose()?;
        let contracts = Contracts::new(&new.manifest, self.chain_id(&plan.spec)?, gateway)?;
        let next = Solution { spec: plan.spec.clone(), ..solution.clone() };
        let program = self.program(&next, package, &contracts, &permissions)?;
        let engine = self.inner.engine.clone();
        let declared = blocking(move || instantiate(&engine, &program, None).map(|(_, _, interface)| interface)).await;
        let unchanged = "nothing was changed, the version before goes on";
        let declared = declared
            .map_err(|error| HostError::new(error.code, format!("{unchanged}: {}", error.message)).with(error.data))?;
        if declared.digest()?.to_string() != plan.spec.interface_digest {
            return Err(HostError::new(
                code::PLUGIN_STOPPED,
                format!("{unchanged}: the script declares other actions or state than those you agreed to"),
            ));
        }
        Ok(())
    }

    /// The version before, until the plugin has heard of the update.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) fn updated(&self, solution: i64) -> Result<Json, HostError> {
        Ok(self.store().meta(&updated_key(solution))?.unwrap_or_default())
    }

    /// The plugin has brought its data up to date.
    pub(crate) fn update_told(&self, solution: i64) {
        let told = || {
            if self.updated(solution)?.is_null() {
                return Ok(());
            }
            self.store().put_meta(&updated_key(solution), &Json::Null).map_err(HostError::from)
        };
        // It is told once more at its next start.
        if let Err(error) = told() {
            tracing::warn!(solution, %error, "that a plugin was told of its update was not noted");
        }
    }
}

fn updated_key(solution: i64) -> String {
    format!("updated:{solution}")
}

/// Refuses what is no update of this solution.
fn check_lineage(old: &Side<'_>, package: &Package, allow_not_newer: bool) -> Result<(), HostError> {
    let spec = old.spec;
    let again = format!("to have it, remove {:?} and add the other package as a solution of its own", spec.name);
    if package.name != spec.package_name {
        return Err(HostError::invalid(format!(
            "{:?} is a solution of the package {}, and this is {}: an update hands on keys and data, so it is for the \
             same package only; {again}",
            spec.name, spec.package_name, package.name
        )));
    }
    if package.sha512.to_hex() == spec.package_sha512 {
        return Err(HostError::invalid(format!(
            "{:?} has exactly this package already ({} {}); nothing to update",
            spec.name, spec.package_name, spec.package_version
        )));
    }
    super::check_contracts(&package.manifest, spec.gateway.as_ref().map(|_| alloy::primitives::Address::ZERO)).map_err(
        |_| {
            let (has, lacks) = if spec.gateway.is_some() { ("has a", "no") } else { ("has no", "a") };
            HostError::invalid(format!(
                "{:?} {has} gateway contract, and this version speaks to {lacks} gateway: that is another layer 2; {again}",
                spec.name
            ))
        },
    )?;
    let (before, after) = (old.manifest.data_version, package.manifest.data_version);
    if after < before {
        return Err(HostError::invalid(format!(
            "the data of {:?} are of version {before}, and {} {} knows them up to version {after} only: it would misread \
             them; {again}",
            spec.name, package.name, package.version
        )));
    }
    let order = compare_versions(&package.version, &spec.package_version);
    if order != Some(Ordering::Greater) && !allow_not_newer {
        let what = match order {
            Some(Ordering::Equal) => "is the same version as the one that is there, with other contents",
            _ => "is older than the one that is there",
        };
        return Err(HostError::invalid(format!(
            "{} {} {what} ({}); if that is what you want, say --allow-not-newer",
            package.name, package.version, spec.package_version
        )));
    }
    Ok(())
}

/// Addresses of contracts besides the gateway: with another one the same permission is about other money.
fn contract_rows(old: &Side<'_>, new: &Side<'_>, chain_id: u64) -> Result<Vec<Row>, HostError> {
    let (before, after) = (addresses(old, chain_id)?, addresses(new, chain_id)?);
    let named = |all: &BTreeSet<(String, String)>, name: &str| {
        all.iter().find(|(other, _)| other == name).map(|(_, address)| address.clone())
    };
    let mut rows = Vec::new();
    for (name, address) in &after {
        match named(&before, name) {
            None => rows.push(row("New contract", format!("{name} at {address}"))),
            Some(other) if other != *address => {
                rows.push(row("Contract moves", format!("{name}: {other} → {address}")));
            }
            Some(_) => {}
        }
    }
    for (name, address) in &before {
        if named(&after, name).is_none() {
            rows.push(row("No contract any more", format!("{name} at {address}")));
        }
    }
    Ok(rows)
}

fn addresses(side: &Side<'_>, chain_id: u64) -> Result<BTreeSet<(String, String)>, HostError> {
    let gateway = side.spec.gateway.as_deref().map(|text| parse_address("gateway", text)).transpose()?;
    let all = Contracts::new(&side.manifest, chain_id, gateway)?.addresses();
    let text = |(name, address): (&String, &Json)| (name.clone(), address.as_str().unwrap_or_default().to_owned());
    Ok(all.as_object().into_iter().flatten().map(text).collect())
}

fn interface_rows(old: &Interface, new: &Interface) -> Vec<Row> {
    let mut rows = Vec::new();
    for action in &new.actions {
        match old.actions.iter().find(|other| other.name == action.name) {
            None => rows.push(row("New action", offered(action))),
            Some(other) if !same_action(other, action) => {
                rows.push(row("Other action", format!("{} → {}", typed(other), typed(action))));
            }
            Some(other) if other.description != action.description => rows.push(row(
                "Other words",
                format!("{}: {} → {}", action.name, quoted(&other.description), quoted(&action.description)),
            )),
            Some(_) => {}
        }
    }
    let gone = old.actions.iter().filter(|one| !new.actions.iter().any(|other| other.name == one.name));
    rows.extend(gone.map(|action| row("No action any more", action.signature())));
    for state in &new.state {
        match old.state.iter().find(|other| other.name == state.name) {
            None => rows.push(row("New state", declared(state))),
            Some(other) if other != state => {
                rows.push(row("Other state", format!("{} → {}", declared(other), declared(state))));
            }
            Some(_) => {}
        }
    }
    let gone = old.state.iter().filter(|one| !new.state.iter().any(|other| other.name == one.name));
    rows.extend(gone.map(|state| row("No state any more", declared(state))));
    rows
}

/// Whether what a caller or a policy was agreed to is still the same thing.
fn same_action(one: &Action, other: &Action) -> bool {
    one.params == other.params && one.returns == other.returns && one.read_only == other.read_only
}

/// An action with everything about it that has a meaning to the wallet.
fn typed(action: &Action) -> String {
    let list = |all: &[Typed]| all.iter().map(declared).collect::<Vec<_>>().join(", ");
    let reads = if action.read_only { ", only reads" } else { "" };
    format!("{}({}) returns ({}){reads}", action.name, list(&action.params), list(&action.returns))
}

fn declared(of: &Typed) -> String {
    let more = [("role", &of.role), ("unit", &of.unit)];
    let more = more.iter().filter_map(|(word, value)| value.as_ref().map(|value| format!("{word} {}", quoted(value))));
    let more: Vec<_> = more.collect();
    let more = if more.is_empty() { String::new() } else { format!(" [{}]", more.join(", ")) };
    format!("{} {}{more}", of.ty, of.name)
}

/// What was agreed to and is not there any more, or not the same.
#[derive(Debug, Default)]
struct Changes {
    actions: BTreeSet<String>,
    state: BTreeSet<String>,
    /// Layer-1 calls mean something else: a contract has moved, or a function has another role.
    contracts: bool,
}

impl Changes {
    fn between(old: &Side<'_>, new: &Side<'_>, chain_id: u64) -> Result<Self, HostError> {
        let action = |one: &&Action| {
            !new.interface.actions.iter().any(|other| other.name == one.name && same_action(one, other))
        };
        let state = |one: &&Typed| !new.interface.state.contains(one);
        let calls = |side: &Side<'_>| -> Vec<Permission> {
            side.manifest.requested().into_iter().filter(|one| matches!(one, Permission::Contract { .. })).collect()
        };
        let lost = |before: Vec<Permission>, after: Vec<Permission>| before.iter().any(|one| !after.contains(one));
        Ok(Self {
            actions: old.interface.actions.iter().filter(action).map(|one| one.name.clone()).collect(),
            state: old.interface.state.iter().filter(state).map(|one| one.name.clone()).collect(),
            contracts: !addresses(old, chain_id)?.is_subset(&addresses(new, chain_id)?) || lost(calls(old), calls(new)),
        })
    }

    fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether a policy rests on what has changed. One that cannot be read does.
    fn touch(&self, rule: &Json) -> bool {
        let Ok(rule) = serde_json::from_value::<Rule>(rule.clone()) else { return true };
        rule.actions.iter().any(|name| self.actions.contains(name)) || (self.contracts && !rule.contracts.is_empty())
    }

    /// What is left of a caller's grant: it asks again for what is not the same any more.
    fn narrow(&self, caveats: &Json) -> Option<Option<Json>> {
        let held: Caveats = serde_json::from_value(caveats.clone()).ok()?;
        let left = |names: &[String], gone: &BTreeSet<String>| -> Vec<String> {
            names.iter().filter(|name| !gone.contains(*name)).cloned().collect()
        };
        let kept = Caveats { actions: left(&held.actions, &self.actions), state: left(&held.state, &self.state) };
        if kept.actions.len() == held.actions.len() && kept.state.len() == held.state.len() {
            return None;
        }
        if kept.actions.is_empty() && kept.state.is_empty() {
            return Some(None);
        }
        Some(serde_json::to_value(kept).ok())
    }
}

#[cfg(test)]
mod tests;
