//! Solutions: what is proposed, what the user sees of it, what an install writes, and the plugins that run.

mod update;

pub(crate) use update::update_plan;

use crate::approvals::{Proposal, Requester};
use crate::backup::PACKAGES;
use crate::error::{HostError, code};
use crate::gateway::{Gateway, parse_address};
use crate::interface::{Action, Interface};
use crate::messages::{ApprovalView, Row, SolutionInput, SolutionView};
use crate::networks::check_name;
use crate::plugin::assets::fetch_assets;
use crate::plugin::budgets::Budgets;
use crate::plugin::desk::Desk;
use crate::plugin::lifecycle::{Calls, Waiting, is_background};
use crate::plugin::{Plugin, Program, instantiate, prepare};
use crate::text::quoted;
use crate::wallet::{Contracts, export_warnings};
use crate::{Actor, Host, Operation, blocking, locked, now, wire};
use alloy::primitives::{Address, keccak256};
use entresol_package::manifest::{Asset, GATEWAY, LimitSet};
use entresol_package::{Integrity, Manifest, Package, Permission, Registry};
use entresol_sandbox::{Limits, ModuleKind};
use entresol_store::{Approval, JournalIntent as Intent, NewSolution, Solution, SolutionStatus};
use entresol_vault::SubtreePath;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Most URLs of one solution.
const MAX_URLS: usize = 8;

/// A solution whose plugin is started.
pub(crate) struct Running {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) network: String,
    pub(crate) owner: u32,
    pub(crate) key_path: SubtreePath,
    pub(crate) urls: Vec<String>,
    pub(crate) from_block: u64,
    pub(crate) gateway_address: Option<Address>,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) contracts: Contracts,
    /// The manifest declares its database critical: nothing is signed after a restore until it confirms.
    pub(crate) critical: bool,
    pub(crate) interface: Interface,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) plugin: Plugin,
    /// It starts with the wallet.
    pub(crate) background: bool,
    pub(crate) desk: Arc<Desk>,
    /// What its computations may run.
    pub(crate) assets: Vec<Asset>,
    /// Where the approved package lies.
    pub(crate) package_folder: PathBuf,
    /// Published state: version of this process's life, and the document (tagged values).
    pub(crate) state: watch::Sender<(u64, Json)>,
    pub(crate) cancel: CancellationToken,
}

/// When a script starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At once.
    Now,
    /// When it is asked for something, unless something may reach it from outside.
    WhenAsked,
}

/// What the user decides at an install: every input, resolved. Its digest is the intent's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstallPlan {
    pub(crate) solution: NewSolution,
    pub(crate) grants: Vec<String>,
}

impl InstallPlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol install\0".as_slice(), &bytes].concat()).to_string())
    }
}

impl Host {
    /// Proposes a solution: fetches and checks the package, reads its interface without any capability, and puts the
    /// permission request before the user. Nothing is installed until it is approved.
    ///
    /// # Errors
    /// Any input that does not fit, by name; nothing has changed then.
    pub async fn solution_add(&self, actor: &Actor, input: SolutionInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "solution_add")?;
        self.propose_solution(Requester::of(actor), None, input).await
    }

    /// As [`solution_add`](Self::solution_add), for the user or for a caller whose proposal the user agreed to look at.
    pub(crate) async fn propose_solution(
        &self,
        requester: Requester,
        proposed_by: Option<String>,
        input: SolutionInput,
    ) -> Result<ApprovalView, HostError> {
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let runtime = self.runtime(&input.network)?;
        let chain_id = runtime.network.chain_id();
        self.known_owner(input.owner)?;
        let gateway = input.gateway.as_deref().map(|text| parse_address("gateway", text)).transpose()?;
        if let Some(address) = gateway
            && runtime.network.code(address).await?.is_empty()
        {
            return Err(HostError::invalid(format!(
                "there is no contract at {} on {} (chain {chain_id}); check the gateway's address and the network",
                address.to_checksum(None),
                input.network
            )));
        }
        let urls = check_urls(&input.network_urls)?;
        let stated_path = input.key_path.as_deref().map(|text| self.free_path(text)).transpose()?;
        self.room_for(&requester)?;
        let package = load_package(&input.script).await?;
        check_contracts(&package.manifest, gateway)?;
        let key_path = match stated_path.clone() {
            Some(path) => path,
            None => self.default_path(&input.network, chain_id, gateway, &package.name)?,
        };
        let name = match input.name {
            Some(name) => name,
            None => self.free_name(&package.manifest.title)?,
        };
        check_name("solution name", &name)?;
        if self.store().solution_by_name(&name)?.is_some() {
            return Err(HostError::invalid(format!("there is a solution {name:?} already; choose another --name")));
        }
        let head = runtime.network.head().borrow().number;
        let deployed = package.manifest.deployments.iter().find(|d| d.chain.id() == chain_id && d.gateway == gateway);
        let from_block = input.from_block.or(deployed.and_then(|d| d.from_block)).unwrap_or(head);

        let interface = self.declared(&package, chain_id, &name).await?;
        let package_dir = self.keep_package(&input.script, &package).await?;
        let grants: Vec<Permission> = package.manifest.requested();
        let plan = InstallPlan {
            solution: NewSolution {
                name,
                title: package.manifest.title.clone(),
                network: input.network,
                owner_index: input.owner,
                gateway: gateway.map(|address| format!("{address:#x}")),
                network_urls: urls,
                key_path: key_path.to_string(),
                package_name: package.name.clone(),
                package_version: package.version.clone(),
                package_sha512: package.sha512.to_hex(),
                package_dir: package_dir.display().to_string(),
                from_block,
                interface_digest: interface.digest()?.to_string(),
                interface: serde_json::to_value(&interface).map_err(|e| HostError::internal(e.to_string()))?,
                manifest: serde_json::to_value(&package.manifest).map_err(|e| HostError::internal(e.to_string()))?,
            },
            grants: grants.iter().map(permission_text).collect::<Result<_, _>>()?,
        };
        let owner = self.owner(plan.solution.owner_index)?;
        let (sentence, mut rows) =
            describe_install(&plan, &grants, &package.manifest.assets, &interface, chain_id, owner.address);
        let urls = &plan.solution.network_urls;
        let mut warnings = install_warnings(urls, &package.manifest, chain_id, gateway, stated_path.is_some());
        if let Some(address) = gateway
            && let Some(found) = crate::inspect::inspect(&runtime.network, address).await?
        {
            rows.extend(found.rows());
            warnings.extend(found.warnings());
        }
        if let Some(who) = proposed_by {
            rows.insert(0, Row { label: "Proposed by".to_owned(), value: who });
        }
        self.submit(Proposal {
            request_key: input.request_key,
            rows,
            warnings,
            ..Proposal::new("install", requester, plan.digest()?, &plan, sentence)?
        })
        .await
    }

    /// The interface that a package's script declares, read without any capability.
    async fn declared(&self, package: &Package, chain_id: u64, name: &str) -> Result<Interface, HostError> {
        let budgets = Arc::new(Budgets::new(LimitSet::granted(&package.manifest.requested())));
        let program = Program {
            solution: 0,
            name: package.main_path.to_string(),
            script: prepare(
                &limits(&budgets, &package.manifest.requested()),
                package.main_path.to_string(),
                package.main.clone(),
                module_kind(package.kind),
            ),
            budgets,
            context: json!({
                "layer1": { "networkId": chain_id, "contracts": {} },
                "network": { "urls": [] },
                "solution": { "name": name },
            }),
            desk: Arc::default(),
            interface_digest: String::new(),
        };
        let engine = self.inner.engine.clone();
        // Requests that the constructor makes are never looked at: the script has no capability yet.
        blocking(move || instantiate(&engine, &program, None).map(|(_, _, interface)| interface)).await
    }

    /// Fetches a package's assets and keeps a copy of what the user will decide about; gives its folder.
    async fn keep_package(&self, script: &str, package: &Package) -> Result<PathBuf, HostError> {
        // A manifest may name a private address only where it lies in a folder of the user's own.
        let own_hand = self.inner.config.allow_private_urls && script.starts_with("folder:");
        fetch_assets(&self.inner.config.home, &package.manifest.assets, own_hand).await?;
        let (kept, directory) = (package.clone(), self.inner.config.home.join(PACKAGES));
        blocking(move || kept.store_into(&directory)).await
    }

    /// Writes an approved install and starts the plugin. Called once more after a crash, it finds its own end.
    pub(crate) async fn execute_install(&self, approval: &Approval) -> Result<(), HostError> {
        let mut plan = install_plan(&approval.request.intent)?;
        let refused: Vec<String> = serde_json::from_value(approval.choice["refuse"].clone()).unwrap_or_default();
        plan.grants = kept_grants(&plan.grants, &refused)?;
        let approval = approval.id;
        let pinned = pinned(&plan.solution.package_sha512)?;
        let folder = self.package_folder(&plan.solution);
        blocking(move || Package::load_stored(&folder, &pinned)).await?;
        // The world may have moved since the proposal: another solution may have taken the path.
        let path: SubtreePath =
            plan.solution.key_path.parse().map_err(|e| HostError::internal(format!("key path: {e}")))?;
        self.refuse_overlap(&path, Some(&plan.solution))?;
        let outcome = json!({ "solution": plan.solution.name });
        let intent = Intent {
            solution: None,
            actor: "user".into(),
            action: "install".into(),
            resource: format!("{}@{}", plan.solution.package_name, plan.solution.package_version),
            detail: json!({ "approval": approval, "solution": plan.solution.name }),
        };
        let install =
            async { Ok(self.store().install(&plan.solution, &plan.grants, Some((approval, &outcome)), now())?) };
        let solution = self.journaled(intent, install).await?;
        // Where layer 1 is away it is noted before the first policy passes.
        if let Err(error) = self.note_gateway(solution.id).await {
            tracing::warn!(%error, "the gateway's code was not noted");
        }
        // Who has just agreed to it sees at once whether it starts.
        self.start_solution(&solution, Begin::Now, Vec::new())?;
        self.changed();
        Ok(())
    }

    /// Starts the plugin of an active solution, with the hooks that another life of it left.
    pub(crate) fn start_solution(
        &self,
        solution: &Solution,
        begin: Begin,
        waiting: Vec<Waiting>,
    ) -> Result<(), HostError> {
        if solution.status != SolutionStatus::Active {
            return Ok(());
        }
        let spec = &solution.spec;
        let manifest: Manifest = serde_json::from_value(spec.manifest.clone())
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        let interface = Interface::parse(&spec.interface)?;
        let gateway_address = spec.gateway.as_deref().map(|text| parse_address("gateway", text)).transpose()?;
        let gateway = manifest.contracts.get(GATEWAY).map(Gateway::new).transpose()?;
        let key_path: SubtreePath =
            spec.key_path.parse().map_err(|e| HostError::internal(format!("stored key path: {e}")))?;
        let package = match Package::load_stored(&self.package_folder(spec), &pinned(&spec.package_sha512)?) {
            Ok(package) => package,
            Err(error) => {
                tracing::error!(solution = %spec.name, %error, "the package is not what was approved; not started");
                self.pause_policies(solution.id, "the package on disk is not the one that was installed");
                return Ok(());
            }
        };
        let chain_id = self.chain_id(spec)?;
        let contracts = Contracts::new(&manifest, chain_id, gateway_address)?;
        let granted = self.permissions(solution.id)?;
        let program = self.program(solution, package, &contracts, &granted)?;
        let (budgets, desk) = (Arc::clone(&program.budgets), Arc::clone(&program.desk));
        let background = is_background(&granted);
        let lazy = begin == Begin::WhenAsked && !background;
        let state = self.store().layer2_state(solution.id)?.unwrap_or_else(|| json!({}));
        let cancel = self.child_token();
        let package_folder = self.package_folder(spec);
        // Held until it is among those that run: what the script asks for first must find it there.
        let mut solutions = locked(&self.inner.solutions);
        let running = Arc::new(Running {
            id: solution.id,
            name: spec.name.clone(),
            network: spec.network.clone(),
            owner: spec.owner_index,
            key_path,
            urls: spec.network_urls.clone(),
            from_block: spec.from_block,
            gateway_address,
            gateway,
            contracts,
            critical: manifest.permissions.local_database.is_some_and(|database| database.critical),
            interface,
            budgets,
            plugin: Plugin::start(self.clone(), self.inner.engine.clone(), Arc::new(program), lazy, waiting),
            background,
            desk,
            assets: manifest.assets,
            package_folder,
            state: watch::Sender::new((1, state)),
            cancel,
        });
        solutions.insert(solution.id, Arc::clone(&running));
        drop(solutions);
        self.access_changed();
        self.follow_layer1(&running);
        self.follow_schedule(&running);
        Ok(())
    }

    /// What the plugin of a solution runs.
    fn program(
        &self,
        solution: &Solution,
        package: Package,
        contracts: &Contracts,
        granted: &[Permission],
    ) -> Result<Program, HostError> {
        let spec = &solution.spec;
        let owner = self.owner(spec.owner_index)?;
        let context = json!({
            "layer1": {
                "networkId": self.chain_id(spec)?,
                "ownerAddress": owner.address.to_checksum(None),
                "contracts": contracts.addresses(),
            },
            "network": { "urls": spec.network_urls },
            "solution": { "id": solution.id, "name": spec.name, "title": spec.title },
        });
        let budgets = Arc::new(Budgets::new(LimitSet::granted(granted)));
        Ok(Program {
            solution: solution.id,
            name: format!("{}/{}", spec.name, package.main_path),
            script: prepare(
                &limits(&budgets, granted),
                package.main_path.to_string(),
                package.main,
                module_kind(package.kind),
            ),
            budgets,
            context,
            desk: Arc::default(),
            interface_digest: spec.interface_digest.clone(),
        })
    }

    fn chain_id(&self, spec: &NewSolution) -> Result<u64, HostError> {
        Ok(self.store().network(&spec.network)?.map(|network| network.chain_id).unwrap_or_default())
    }

    /// Where the approved package lies: below this home, also when the wallet has moved.
    fn package_folder(&self, spec: &NewSolution) -> PathBuf {
        let name = Path::new(&spec.package_dir).file_name().unwrap_or_default();
        self.inner.config.home.join(PACKAGES).join(name)
    }

    fn stop_solution(&self, id: i64) {
        if let Some(running) = locked(&self.inner.solutions).remove(&id) {
            running.cancel.cancel();
            running.plugin.stop();
            self.access_changed();
        }
    }

    /// The solutions that are not removed.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn solutions(&self, actor: &Actor) -> Result<Vec<SolutionView>, HostError> {
        self.authorize(actor, &Operation::Read, "solutions")?;
        self.store().solutions()?.iter().map(|solution| self.solution_view(solution)).collect()
    }

    /// One solution by handle or id.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn solution(&self, actor: &Actor, name: &str) -> Result<SolutionView, HostError> {
        self.authorize(actor, &Operation::Read, "solution")?;
        self.solution_view(&self.find(name)?)
    }

    /// Removes a solution: its plugin stops, its data stay until the wallet is thrown away, its key path stays
    /// reserved. Money on layer 2 is not touched.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn solution_remove(&self, actor: &Actor, name: &str) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "solution_remove")?;
        let _one_at_a_time = self.inner.lives.lock().await;
        let solution = self.find(name)?;
        let intent = Intent {
            solution: Some(solution.id),
            actor: actor.to_string(),
            action: "remove".into(),
            resource: solution.spec.name.clone(),
            detail: Json::Null,
        };
        self.journaled(intent, async {
            self.store().set_solution_status(solution.id, SolutionStatus::Removed)?;
            self.stop_solution(solution.id);
            self.end_policies(solution.id)
        })
        .await?;
        self.expire_requests("its solution was removed", |request| request.solution == Some(solution.id))?;
        self.access_changed();
        Ok(())
    }

    /// Stops the plugin and starts it afresh.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn solution_restart(&self, actor: &Actor, name: &str) -> Result<SolutionView, HostError> {
        self.authorize(actor, &Operation::Propose, "solution_restart")?;
        let _one_at_a_time = self.inner.lives.lock().await;
        let solution = self.find(name)?;
        let waiting = self.drain(solution.id, Calls::Refuse).await;
        self.stop_solution(solution.id);
        self.start_solution(&solution, Begin::Now, waiting)?;
        self.changed();
        self.solution_view(&solution)
    }

    /// Lets the running plugin finish what is open, and ends it. Gives what it was told of and has not finished: that
    /// goes to the next life, before anything newer.
    async fn drain(&self, id: i64, calls: Calls) -> Vec<Waiting> {
        let running = locked(&self.inner.solutions).get(&id).cloned();
        let Some(running) = running else { return Vec::new() };
        running.cancel.cancel();
        running.plugin.leave(calls).await
    }

    /// What a solution was granted, in words.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn grants(&self, actor: &Actor, name: &str) -> Result<Vec<String>, HostError> {
        self.authorize(actor, &Operation::Read, "grants")?;
        let solution = self.find(name)?;
        Ok(self.permissions(solution.id)?.iter().map(ToString::to_string).collect())
    }

    /// Takes a permission back, at once, also from a running plugin. `permission` is a row of [`Host::grants`].
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn grant_revoke(&self, actor: &Actor, name: &str, permission: &str) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "grant_revoke")?;
        let solution = self.find(name)?;
        let held = self.permissions(solution.id)?;
        let found = held.iter().find(|grant| grant.to_string() == permission).ok_or_else(|| {
            HostError::not_found(format!(
                "{name} holds no permission {permission:?}; see `entresol grants list {name}`"
            ))
        })?;
        let intent = Intent {
            solution: Some(solution.id),
            actor: actor.to_string(),
            action: "revoke".into(),
            resource: permission.to_owned(),
            detail: Json::Null,
        };
        let text = permission_text(found)?;
        self.journaled(intent, async { Ok(self.store().revoke_grant(solution.id, &text, now())?) }).await?;
        if matches!(found, Permission::Network { .. }) {
            self.connections().close_all(solution.id);
        }
        self.changed();
        Ok(())
    }

    /// What a solution asks for, required or optional, and was not granted, in words.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn grants_refused(&self, actor: &Actor, name: &str) -> Result<Vec<String>, HostError> {
        self.authorize(actor, &Operation::Read, "grants_refused")?;
        let solution = self.find(name)?;
        let manifest: Manifest = serde_json::from_value(solution.spec.manifest.clone())
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        let held = self.permissions(solution.id)?;
        let asked = manifest.requested().into_iter().chain(manifest.optional());
        Ok(asked.filter(|permission| !held.contains(permission)).map(|permission| permission.to_string()).collect())
    }

    /// Gives a permission that the manifest asks for, required or optional, and that was refused or taken back before.
    ///
    /// # Errors
    /// Not authorised; the manifest does not ask for it.
    pub async fn grant_add(&self, actor: &Actor, name: &str, permission: &str) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "grant_add")?;
        let solution = self.find(name)?;
        let manifest: Manifest = serde_json::from_value(solution.spec.manifest.clone())
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        let mut asked = manifest.requested();
        asked.extend(manifest.optional());
        let found = asked.iter().find(|asked| asked.to_string() == permission).ok_or_else(|| {
            let words: Vec<String> = asked.iter().map(ToString::to_string).collect();
            HostError::not_found(format!("{name} does not ask for {permission:?}; it asks for: {}", words.join("; ")))
        })?;
        let intent = Intent {
            solution: Some(solution.id),
            actor: actor.to_string(),
            action: "grant".into(),
            resource: permission.to_owned(),
            detail: Json::Null,
        };
        let text = permission_text(found)?;
        self.journaled(intent, async { Ok(self.store().add_grant(solution.id, &text, now())?) }).await?;
        self.changed();
        Ok(())
    }

    /// Notes in the journal that a plugin was stopped by an error or a limit.
    pub(crate) async fn plugin_failed(&self, solution: i64, error: &HostError) {
        let intent = Intent {
            solution: Some(solution),
            actor: "sandbox".into(),
            action: "plugin stopped".into(),
            resource: String::new(),
            detail: Json::Null,
        };
        let failed: Result<(), HostError> = self.journaled(intent, async { Err(error.clone()) }).await;
        drop(failed);
    }

    /// The stored solution by handle or id; removed ones are not found.
    pub(crate) fn find(&self, name: &str) -> Result<Solution, HostError> {
        let found = match name.parse::<i64>() {
            Ok(id) => self.store().solution(id)?.filter(|row| row.status != SolutionStatus::Removed),
            Err(_) => self.store().solution_by_name(name)?,
        };
        found
            .ok_or_else(|| HostError::not_found(format!("there is no solution {name:?}; see `entresol solution list`")))
    }

    /// The id of a solution by name or id. One that runs is in memory: its row, with the whole interface in it, is not
    /// read for every call.
    pub(crate) fn id_of(&self, name: &str) -> Result<i64, HostError> {
        let running = {
            let solutions = locked(&self.inner.solutions);
            match name.parse::<i64>() {
                Ok(id) => solutions.contains_key(&id).then_some(id),
                Err(_) => solutions.values().find(|running| running.name == name).map(|running| running.id),
            }
        };
        running.map_or_else(|| self.find(name).map(|row| row.id), Ok)
    }

    /// Root of a solution's keys.
    pub(crate) fn key_path(&self, solution: i64) -> Result<SubtreePath, HostError> {
        let row = self.store().solution(solution)?.ok_or_else(|| HostError::not_found("the solution is gone"))?;
        row.spec.key_path.parse().map_err(|e| HostError::internal(format!("stored key path: {e}")))
    }

    /// The running solution by id.
    pub(crate) fn running(&self, id: i64) -> Result<Arc<Running>, HostError> {
        locked(&self.inner.solutions).get(&id).cloned().ok_or_else(|| {
            HostError::new(
                code::PLUGIN_STOPPED,
                "the plugin of this solution is not running; see `entresol solution show`",
            )
        })
    }

    fn solution_view(&self, solution: &Solution) -> Result<SolutionView, HostError> {
        let spec = &solution.spec;
        let interface = Interface::parse(&spec.interface)?;
        let plugin = locked(&self.inner.solutions).get(&solution.id).map(|running| running.plugin.status().to_string());
        Ok(SolutionView {
            id: solution.id,
            name: spec.name.clone(),
            title: spec.title.clone(),
            network: spec.network.clone(),
            gateway: spec.gateway.as_deref().map(checksummed),
            network_urls: spec.network_urls.clone(),
            key_path: spec.key_path.clone(),
            owner: spec.owner_index,
            package: format!("{}@{}", spec.package_name, spec.package_version),
            package_sha512: spec.package_sha512.clone(),
            status: solution.status.as_str().to_owned(),
            plugin: plugin.unwrap_or_else(|| "stopped".to_owned()),
            interface_digest: spec.interface_digest.clone(),
            actions: interface.actions.iter().map(Action::view).collect(),
            state_names: interface.state.iter().map(|state| state.name.clone()).collect(),
            state_types: interface.state.iter().map(crate::interface::Typed::view).collect(),
            grants: self.permissions(solution.id)?.iter().map(ToString::to_string).collect(),
            dials: self.dials_of(solution)?,
        })
    }

    /// Parses a stated path and refuses one that touches another solution's, removed ones included.
    fn free_path(&self, text: &str) -> Result<SubtreePath, HostError> {
        let path: SubtreePath = text.parse().map_err(|e| HostError::invalid(format!("{e}")))?;
        self.refuse_overlap(&path, None)?;
        Ok(path)
    }

    /// Refuses a path that touches a reserved one. Only the same package at the same gateway and network may take up
    /// the very path it had before it was removed: these keys are its own (`again`).
    fn refuse_overlap(&self, path: &SubtreePath, again: Option<&NewSolution>) -> Result<(), HostError> {
        for (id, reserved) in self.store().reserved_key_paths()? {
            let other: SubtreePath =
                reserved.parse().map_err(|e| HostError::internal(format!("reserved path: {e}")))?;
            if !path.overlaps(&other) {
                continue;
            }
            if let Some(again) = again
                && reserved == path.to_string()
                && let Some(before) = self.store().solution(id)?
                && before.status == SolutionStatus::Removed
                && (&before.spec.package_name, &before.spec.gateway, &before.spec.network)
                    == (&again.package_name, &again.gateway, &again.network)
            {
                continue;
            }
            return Err(HostError::invalid(format!(
                "the key path {path} overlaps {other}, which belongs to another solution (removed ones stay reserved); \
                 choose another"
            )));
        }
        Ok(())
    }

    /// The default root, or the next free one for a further solution of the same package and gateway.
    fn default_path(
        &self,
        network: &str,
        chain: u64,
        gateway: Option<Address>,
        package: &str,
    ) -> Result<SubtreePath, HostError> {
        let same = |known: &Solution| {
            known.spec.package_name == package
                && known.spec.network == network
                && known.spec.gateway == gateway.map(|address| format!("{address:#x}"))
        };
        let reserved = self.store().reserved_key_paths()?;
        for number in 1..1000_u32 {
            let name = if number == 1 { package.to_owned() } else { format!("{package}#{number}") };
            let path = SubtreePath::default_for(chain, gateway, &name);
            let holders = reserved.iter().filter(|(_, text)| *text == path.to_string());
            let mut taken = false;
            for (id, _) in holders {
                let known = self.store().solution(*id)?;
                taken |= known.is_none_or(|known| known.status != SolutionStatus::Removed || !same(&known));
            }
            if !taken {
                return Ok(path);
            }
        }
        Err(HostError::new(code::LIMIT, "a thousand solutions of this package and gateway"))
    }

    /// A handle out of the title: `Payments` → `payments`, `payments-2`, …
    fn free_name(&self, title: &str) -> Result<String, HostError> {
        let mut base: String = title
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .skip_while(|c| !c.is_ascii_alphabetic())
            .take(24)
            .collect();
        base = base.trim_end_matches('-').to_owned();
        if base.is_empty() {
            "solution".clone_into(&mut base);
        }
        for number in 1..1000_u32 {
            let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            if self.store().solution_by_name(&name)?.is_none() {
                return Ok(name);
            }
        }
        Err(HostError::invalid("state a --name"))
    }
}

async fn load_package(script: &str) -> Result<Package, HostError> {
    let (kind, rest) = script.split_once(':').unwrap_or(("", script));
    match kind {
        "folder" => {
            let path = PathBuf::from(rest);
            blocking(move || Package::load_folder(&path)).await
        }
        "tarball" => {
            let path = PathBuf::from(rest);
            blocking(move || Package::load(&path)).await
        }
        "npm" => {
            let (name, version) = rest
                .rsplit_once('@')
                .filter(|(name, version)| !name.is_empty() && !version.is_empty())
                .ok_or_else(|| HostError::invalid(format!("{script:?}: name an exact version, npm:NAME@1.2.3")))?;
            let registry = Registry::from_environment().map_err(|e| HostError::invalid(crate::error::chain(&e)))?;
            Ok(Package::fetch(&registry, name, version, None).await?)
        }
        _ => Err(HostError::invalid(format!("script {script:?}: write folder:PATH, tarball:PATH or npm:NAME@VERSION"))),
    }
}

fn check_contracts(manifest: &Manifest, gateway: Option<Address>) -> Result<(), HostError> {
    match (manifest.contracts.contains_key(GATEWAY), gateway) {
        (true, None) => {
            Err(HostError::invalid("this package speaks to a gateway contract: state its address (--gateway)"))
        }
        (false, Some(_)) => Err(HostError::invalid("this package declares no gateway contract: leave --gateway out")),
        _ => Ok(()),
    }
}

fn check_urls(urls: &[String]) -> Result<Vec<String>, HostError> {
    if urls.len() > MAX_URLS {
        return Err(HostError::invalid(format!("at most {MAX_URLS} network URLs")));
    }
    urls.iter()
        .map(|text| {
            let url = Url::parse(text).map_err(|e| HostError::invalid(format!("network URL {text:?}: {e}")))?;
            let secret = !url.username().is_empty() || url.password().is_some();
            if !matches!(url.scheme(), "ws" | "wss" | "http" | "https") || url.host().is_none() || secret {
                return Err(HostError::invalid(format!(
                    "network URL {text:?}: ws, wss, http or https with a host and without user or password"
                )));
            }
            Ok(text.clone())
        })
        .collect()
}

fn describe_install(
    plan: &InstallPlan,
    grants: &[Permission],
    assets: &[Asset],
    interface: &Interface,
    chain_id: u64,
    owner: Address,
) -> (String, Vec<Row>) {
    let spec = &plan.solution;
    let row = |label: &str, value: String| Row { label: label.to_owned(), value };
    let mut rows = vec![
        row("Package", format!("{}@{}", spec.package_name, spec.package_version)),
        row("SHA-512", spec.package_sha512.clone()),
        row("Calls itself", quoted(&spec.title)),
        row("Layer-1 network", format!("{} (chain {chain_id})", spec.network)),
        row("Gateway", spec.gateway.as_deref().map_or_else(|| "none".to_owned(), checksummed)),
        row("Layer-2 URL", if spec.network_urls.is_empty() { "none".into() } else { spec.network_urls.join(", ") }),
        row("Owner account", format!("{} (account {})", owner.to_checksum(None), spec.owner_index)),
        row("Keys below", spec.key_path.clone()),
    ];
    rows.extend(grants.iter().map(|grant| row("May", grant.to_string())));
    rows.extend(assets.iter().map(|asset| row("Asset", asset_text(asset))));
    rows.extend(interface.actions.iter().map(|action| row("Offers", offered(action))));
    (format!("Add the solution {:?} and let its script run in the sandbox?", spec.name), rows)
}

fn asset_text(asset: &Asset) -> String {
    let from = asset.url.as_deref().map_or_else(|| "in the package".to_owned(), |url| format!("fetched from {url}"));
    format!("{}: {} bytes, {from}, SHA-256 {}", quoted(&asset.name), asset.size, asset.sha256)
}

fn offered(action: &Action) -> String {
    let asks = if action.read_only { ", only reads" } else { "" };
    format!("{}{asks} — {}", action.signature(), quoted(&action.description))
}

fn install_warnings(
    urls: &[String],
    manifest: &Manifest,
    chain_id: u64,
    gateway: Option<Address>,
    stated_path: bool,
) -> Vec<String> {
    let mut warnings = export_warnings(&manifest.requested());
    if let Some(address) = gateway
        && !manifest.knows_gateway(chain_id, address)
    {
        warnings.push(
            "The publisher of this package does not list this gateway contract: be sure that you trust it.".into(),
        );
    }
    for url in urls {
        if !manifest.knows_url(chain_id, url) {
            warnings.push(format!("The publisher of this package does not list the URL {url}."));
        }
    }
    if stated_path {
        warnings.push("You state the key path: whoever used this path before shares these keys.".into());
    }
    warnings
}

pub(crate) fn install_plan(intent: &Json) -> Result<InstallPlan, HostError> {
    serde_json::from_value(intent.clone()).map_err(|e| HostError::internal(format!("install plan: {e}")))
}

/// The permissions that an install or an update asks for; none for requests of other kinds, which have none to refuse.
pub(crate) fn asked_permissions(kind: &str, intent: &Json) -> Result<Option<Vec<Permission>>, HostError> {
    let grants = match kind {
        "install" => install_plan(intent)?.grants,
        "update" => update_plan(intent)?.grants,
        _ => return Ok(None),
    };
    grants.iter().map(|text| parse_permission(text)).collect::<Result<_, _>>().map(Some)
}

fn parse_permission(text: &str) -> Result<Permission, HostError> {
    serde_json::from_str(text).map_err(|e| HostError::internal(format!("a stored permission: {e}")))
}

/// Every permission that the user did not refuse.
fn kept_grants(asked: &[String], refused: &[String]) -> Result<Vec<String>, HostError> {
    let mut kept = Vec::with_capacity(asked.len());
    for text in asked {
        if !refused.contains(&parse_permission(text)?.to_string()) {
            kept.push(text.clone());
        }
    }
    Ok(kept)
}

/// The grant's canonical text, as the store keeps it.
pub(crate) fn permission_text(permission: &Permission) -> Result<String, HostError> {
    serde_json::to_string(permission).map_err(|e| HostError::internal(e.to_string()))
}

fn pinned(hex_digest: &str) -> Result<Integrity, HostError> {
    let mut digest = [0; 64];
    hex::decode_to_slice(hex_digest, &mut digest).map_err(|e| HostError::internal(format!("stored SHA-512: {e}")))?;
    Ok(Integrity::from_digest(digest))
}

pub(crate) fn checksummed(address: &str) -> String {
    address.parse::<Address>().map_or_else(|_| address.to_owned(), |a| a.to_checksum(None))
}

const fn module_kind(kind: entresol_package::ModuleKind) -> ModuleKind {
    match kind {
        entresol_package::ModuleKind::EsModule => ModuleKind::EsModule,
        entresol_package::ModuleKind::CommonJs => ModuleKind::CommonJs,
    }
}

/// The sandbox's limits, with the memory and the WebAssembly that were granted.
fn limits(budgets: &Budgets, permissions: &[Permission]) -> Limits {
    let memory = permissions.iter().find_map(|permission| match permission {
        Permission::Memory { limit } => usize::try_from(limit.bytes()).ok(),
        _ => None,
    });
    Limits { webassembly: permissions.contains(&Permission::Webassembly), ..budgets.sandbox(memory) }
}

/// The published state of a running solution, untagged.
pub(crate) fn plain_state(running: &Running) -> (u64, Json) {
    let (version, state) = &*running.state.borrow();
    (*version, wire::untag(state))
}
