//! `layer2_addSolution`: a caller proposes a solution.
//!
//! Two questions. The first shows what the caller wrote, before anything is fetched: whoever could make the wallet fetch
//! a package, or ask a contract, could use it to tell that the wallet is there and what it knows. After a yes it goes on
//! as if the user had typed it: the package is fetched and checked, and the install is the second question.

use super::chains::public_https;
use crate::approvals::{Proposal, Requester};
use crate::callers::{Asked, Caller};
use crate::error::HostError;
use crate::gateway::parse_address;
use crate::messages::SolutionInput;
use crate::text::{quoted, row};
use crate::{Actor, Host, Operation};
use alloy::primitives::keccak256;
use entresol_package::registry::{is_exact_version, is_valid_name};
use entresol_store::Approval;
use entresol_vault::SubtreePath;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Most URLs of one solution.
const MAX_URLS: usize = 8;

/// What a caller may say of a solution: the specification's names, or the wallet's own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Proposed {
    #[serde(alias = "layer2Script")]
    script: String,
    #[serde(default, alias = "layer2SolutionContractAddress")]
    gateway: Option<String>,
    #[serde(default, alias = "layer2NetworkUrl")]
    network_urls: Option<Urls>,
    #[serde(default, alias = "layer2KeyDerivationPath")]
    key_path: Option<String>,
    #[serde(default)]
    from_block: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    More(Vec<String>),
}

/// What an approval of kind `propose` keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProposePlan {
    caller: Caller,
    input: SolutionInput,
}

impl ProposePlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol propose\0".as_slice(), &bytes].concat()).to_string())
    }
}

/// `layer2_addSolution`: answers `{ solution, id }` when the user has installed it. What it may ask of it is a further
/// question (`wallet_requestPermissions`).
pub(crate) async fn add_solution(mut asked: Asked) -> Result<Json, HostError> {
    let actor = Actor::Caller(asked.caller.clone());
    asked.host.authorize(&actor, &Operation::Introduce, asked.method)?;
    let proposed: Proposed = asked.object()?;
    let Asked { host, caller, .. } = asked;
    let chain = host.caller_chain(&caller)?;
    let plan = ProposePlan { input: checked(proposed, &chain.name, host.connection(&caller)?.accounts)?, caller };
    let input = &plan.input;
    let owner = host.owner(input.owner)?.address.to_checksum(None);
    let mut rows = vec![
        row("Caller", plan.caller.to_string()),
        row("Package", quoted(&input.script)),
        row("Layer-1 network", format!("{} (chain {})", chain.name, chain.chain_id)),
        row("Gateway", input.gateway.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    rows.extend(input.network_urls.iter().map(|url| row("Layer-2 URL", quoted(url))));
    rows.push(row("Owner account", format!("{owner} (account {})", input.owner)));
    let mut warnings = vec![
        "Nothing has been fetched so far. If you say yes, the package is fetched and you are shown what it asks for; it \
         is installed only after a second yes."
            .to_owned(),
    ];
    if let Some(path) = &input.key_path {
        rows.push(row("Keys below", path.clone()));
        warnings.push("It states the key path: whoever used this path before shares these keys.".to_owned());
    }
    let question = Proposal {
        rows,
        warnings,
        ..Proposal::new(
            "propose",
            Requester::of(&actor),
            plan.digest()?,
            &plan,
            format!("{} proposes a solution for this wallet. Fetch it and look at it?", plan.caller),
        )?
    };
    let looked_at = host.ask_once(question, || Ok(true)).await?;
    let install = looked_at["approval"].as_i64().unwrap_or_default();
    // The second question is the user's own: it stays when the page is closed.
    let installed = host.outcome(install).await?;
    let name = installed["solution"].as_str().unwrap_or_default();
    Ok(json!({ "solution": name, "id": host.find(name)?.id }))
}

/// Only what can be judged without asking anybody.
fn checked(proposed: Proposed, network: &str, accounts: Vec<u32>) -> Result<SolutionInput, HostError> {
    let package = proposed.script.strip_prefix("npm:").and_then(|rest| rest.rsplit_once('@'));
    if !package.is_some_and(|(name, version)| is_valid_name(name) && is_exact_version(version)) {
        return Err(HostError::invalid(format!(
            "script {:?}: a site proposes an npm package by name and exact version, npm:NAME@1.2.3",
            proposed.script
        )));
    }
    let gateway = proposed.gateway.as_deref().map(|text| parse_address("gateway", text)).transpose()?;
    let network_urls = match proposed.network_urls {
        None => Vec::new(),
        Some(Urls::One(one)) => vec![one],
        Some(Urls::More(more)) => more,
    };
    if network_urls.len() > MAX_URLS {
        return Err(HostError::invalid(format!("at most {MAX_URLS} network URLs")));
    }
    for text in &network_urls {
        public_https("networkUrls", text)?;
    }
    let key_path: Option<SubtreePath> = match &proposed.key_path {
        Some(text) => Some(text.parse().map_err(|e| HostError::invalid(format!("{e}")))?),
        None => None,
    };
    Ok(SolutionInput {
        name: None,
        network: network.to_owned(),
        gateway: gateway.map(|address| address.to_checksum(None)),
        network_urls,
        key_path: key_path.map(|path| path.to_string()),
        script: proposed.script,
        owner: accounts.first().copied().unwrap_or_default(),
        from_block: proposed.from_block,
        request_key: None,
    })
}

impl Host {
    /// Fetches what the user agreed to look at, and puts the install before them.
    pub(crate) async fn execute_propose(&self, approval: &Approval) -> Result<(), HostError> {
        let plan: ProposePlan = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("a stored proposal: {e}")))?;
        // The same key after a crash in between gives the same question.
        let input = SolutionInput { request_key: Some(format!("propose:{}", approval.id)), ..plan.input };
        let requester = Requester::of(&Actor::Caller(plan.caller.clone()));
        match self.propose_solution(requester, Some(plan.caller.to_string()), input).await {
            Ok(install) => {
                self.store().finish_approval(approval.id, Ok(&json!({ "approval": install.id })))?;
                Ok(())
            }
            // Whatever it is, the caller is told now.
            Err(error) => self.fail(approval.id, &error),
        }
    }
}

#[cfg(test)]
mod tests;
