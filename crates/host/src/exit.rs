//! Leaving a layer 2 without its plugin: `requestExit()` of the standard gateway interface, sent from the layer-2
//! account itself. It needs the seed, layer 1 and the gateway, nothing else: no script, no layer-2 node.

use crate::approvals::{CallIntent, Proposal, Requester, Signer, transaction};
use crate::duties::Price;
use crate::error::{HostError, code};
use crate::inspect::{abi, inspect};
use crate::messages::{ApprovalView, ExitInput};
use crate::text::{ether, row};
use crate::{Actor, Host, Operation};
use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;
use entresol_layer1::CallRequest;
use entresol_package::Manifest;
use entresol_package::manifest::GATEWAY;
use entresol_store::Solution;

impl Host {
    /// Proposes to ask the gateway for everything that a layer-2 account owns; with `fund`, and where the account lacks
    /// the fee, first to send it some ETH from the owner.
    ///
    /// # Errors
    /// Not authorised; not found; no gateway, or one without `requestExit()`; the account has no ETH for the fee; the
    /// call would fail; the seed is locked.
    pub async fn exit(&self, actor: &Actor, input: ExitInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "exit")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let solution = self.find_also_removed(&input.solution)?;
        let name = &solution.spec.name;
        let gateway = solution.spec.gateway.as_deref().and_then(|text| text.parse().ok());
        let gateway = gateway.ok_or_else(|| HostError::invalid(format!("{name} has no gateway contract")))?;
        let runtime = self.runtime(&solution.spec.network)?;
        let network = &runtime.network;
        let account = self.vault().subtree_account(&self.key_path(solution.id)?, input.account)?;
        let address = account.address.to_checksum(None);
        let found = inspect(network, gateway).await?.ok_or_else(|| {
            HostError::invalid(format!("there is no contract at the gateway of {name}: nothing can be asked of it"))
        })?;
        if !found.standard_gateway && !declares_exit(&solution)? {
            return Err(HostError::invalid(format!(
                "the gateway of {name} does not offer requestExit() of the standard interface; leave by its plugin's \
                 own way (`entresol actions {name}`)"
            )));
        }
        let calldata = abi::requestExitCall {}.abi_encode();
        let call = CallRequest { from: account.address, to: gateway.into(), value: U256::ZERO, input: calldata.into() };
        let price = Price::of(network.estimate_gas(&call).await?, &network.fees().await?);
        let balance = network.balance(account.address).await?;
        if balance < price.now && input.fund {
            return self.fund_exit(actor, &solution, &call, price.ceiling.saturating_sub(balance), input).await;
        }
        if balance < price.now {
            return Err(HostError::new(
                code::TRANSACTION_REJECTED,
                format!(
                    "layer-2 account {} of {name} ({address}) has {} on {}, and the fee is about {}; send it some: \
                     `entresol fund {name} {} {}`",
                    input.account,
                    ether(balance),
                    solution.spec.network,
                    ether(price.now),
                    input.account,
                    price.ceiling,
                ),
            ));
        }
        // What the account has bounds the fee as well: the chain would not take more.
        let ceiling = price.ceiling.min(balance);
        let signer = format!("layer-2 account {} of {name}", input.account);
        let told = self.simulated(network, &call, Some(&signer)).await?;
        if told.fails {
            return Err(HostError::new(code::TRANSACTION_REJECTED, told.warnings.join(" ")));
        }
        let mut rows = vec![
            row("Network", format!("{} (chain {})", solution.spec.network, network.chain_id())),
            row("From", format!("{address} ({signer})")),
            row("To", format!("{} (the gateway of {name})", gateway.to_checksum(None))),
            row("Calls", abi::requestExitCall::SIGNATURE),
            row("Then", "everything that this account owns on layer 2 leaves by the gateway's own rules and times"),
        ];
        rows.extend(found.rows());
        rows.extend(told.rows);
        rows.push(row("Fee", format!("about {}, at most {}", ether(price.now), ether(ceiling))));
        let mut warnings = found.warnings();
        warnings.extend(told.warnings);
        if !found.standard_gateway {
            warnings.push("The gateway does not say (ERC-165) that it follows the standard interface.".to_owned());
        }
        let stored = CallIntent {
            intent: transaction(network.chain_id(), &call, ceiling),
            network: solution.spec.network.clone(),
            signer: Signer::Layer2 { index: input.account },
            role: "exit".to_owned(),
            function: abi::requestExitCall::SIGNATURE.to_owned(),
            deadline: None,
            before: None,
        };
        self.submit(Proposal {
            request_key: input.request_key,
            solution: Some(solution.id),
            rows,
            warnings,
            ..Proposal::new(
                "exit",
                Requester::of(actor),
                stored.digest().to_string(),
                &stored,
                format!("Leave {name} with everything that its layer-2 account {} owns?", input.account),
            )?
        })
        .await
    }

    /// Proposes what comes before an exit: ETH for its fee, from the owner. Asks no plugin, for there may be none.
    async fn fund_exit(
        &self,
        actor: &Actor,
        solution: &Solution,
        exit: &CallRequest,
        value: U256,
        input: ExitInput,
    ) -> Result<ApprovalView, HostError> {
        let spec = &solution.spec;
        let runtime = self.runtime(&spec.network)?;
        let network = &runtime.network;
        let owner = self.owner(spec.owner_index)?;
        let call = CallRequest { from: owner.address, to: exit.from.into(), value, input: Bytes::new() };
        let price = Price::of(network.estimate_gas(&call).await?, &network.fees().await?);
        let (has, needed) = (network.balance(owner.address).await?, value.saturating_add(price.now));
        let from = owner.address.to_checksum(None);
        if has < needed {
            return Err(HostError::new(
                code::TRANSACTION_REJECTED,
                format!(
                    "leaving {} costs its layer-2 account a fee, and neither it nor your account {} ({from}) can pay it: \
                     {} are needed on {}, {} are there; send some ETH to {from}",
                    spec.name,
                    spec.owner_index,
                    ether(needed),
                    spec.network,
                    ether(has),
                ),
            ));
        }
        let rows = vec![
            row("Network", format!("{} (chain {})", spec.network, network.chain_id())),
            row("From", format!("{from} (account {})", spec.owner_index)),
            row("To", format!("{} (layer-2 account {} of {})", exit.from.to_checksum(None), input.account, spec.name)),
            row("Sends", ether(value)),
            row("Fee", format!("about {}, at most {}", ether(price.now), ether(price.ceiling))),
            row("Then", format!("ask again to leave: `entresol exit {} --account {}`", input.solution, input.account)),
        ];
        let stored = CallIntent {
            intent: transaction(network.chain_id(), &call, price.ceiling),
            network: spec.network.clone(),
            signer: Signer::Owner { index: spec.owner_index },
            role: "fund".to_owned(),
            function: String::new(),
            deadline: None,
            before: None,
        };
        self.submit(Proposal {
            request_key: input.request_key,
            solution: Some(solution.id),
            rows,
            ..Proposal::new(
                "fund",
                Requester::of(actor),
                stored.digest().to_string(),
                &stored,
                format!(
                    "Send {} to layer-2 account {} of {}, for the fee of leaving?",
                    ether(value),
                    input.account,
                    spec.name
                ),
            )?
        })
        .await
    }

    /// Removed solutions too, by id: the value on layer 2 is the user's all the same.
    fn find_also_removed(&self, name: &str) -> Result<Solution, HostError> {
        match name.parse::<i64>() {
            Ok(id) => self.store().solution(id)?.ok_or_else(|| {
                HostError::not_found(format!("there is no solution {id}; see `entresol solution list`"))
            }),
            Err(_) => self.find(name),
        }
    }
}

/// True when the gateway's ABI in the manifest has `requestExit()`.
fn declares_exit(solution: &Solution) -> Result<bool, HostError> {
    let manifest: Manifest = serde_json::from_value(solution.spec.manifest.clone())
        .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
    let Some(contract) = manifest.contracts.get(GATEWAY) else { return Ok(false) };
    let functions = contract.all_functions().map_err(|e| HostError::invalid(e.to_string()))?;
    Ok(functions.iter().any(|function| function.signature() == abi::requestExitCall::SIGNATURE))
}
