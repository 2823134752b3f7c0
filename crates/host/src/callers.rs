//! Callers: whoever calls a plugin's actions from outside. A grant lets a caller *ask*, and see the state it names;
//! what passes without asking is the business of [`crate::policies`].

mod methods;

pub(crate) use methods::Asked;
pub use methods::{CALLER_METHODS, CallerMethod};

use crate::approvals::{Proposal, Requester};
use crate::error::HostError;
use crate::messages::{CallerGrantInput, CallerGrantView, Row};
use crate::text::quoted;
use crate::{Actor, Host, Operation, now};
use alloy::primitives::keccak256;
use entresol_store::{CallerGrant, CallerGrantFilter, JournalIntent};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Longest origin, profile or app name.
const MAX_NAME: usize = 256;

/// A website's origin within one browser profile, a named local app, or another solution. All have the same grants,
/// approvals, policies and limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum Caller {
    /// A website.
    Site {
        /// The paired browser profile.
        profile: String,
        /// Origin as the browser filled it in, `https://shop.example`.
        origin: String,
    },
    /// A local app with a secret of its own.
    App {
        /// Its name.
        name: String,
    },
    /// Another solution.
    Solution {
        /// Its local id.
        id: i64,
    },
}

impl Caller {
    /// The canonical text, under which grants and policies are kept. Two callers never share one.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            // The profile has no colon (see `parse`), so that no pair can be read as another pair.
            Self::Site { profile, origin } => format!("site:{profile}:{origin}"),
            Self::App { name } => format!("app:{name}"),
            Self::Solution { id } => format!("solution:{id}"),
        }
    }

    /// Reads the canonical text.
    ///
    /// # Errors
    /// Says what a caller looks like.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let wrong = || {
            HostError::invalid(format!(
                "{text:?} is no caller: site:PROFILE:https://shop.example, app:NAME or solution:ID"
            ))
        };
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        if rest.len() > MAX_NAME || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong());
        }
        match kind {
            "site" => {
                let (profile, origin) = rest.split_once(':').ok_or_else(wrong)?;
                let url = url::Url::parse(origin).map_err(|_| wrong())?;
                let exact = matches!(url.scheme(), "https" | "http") && url.origin().ascii_serialization() == origin;
                if profile.is_empty() || !profile.bytes().all(|b| b.is_ascii_graphic()) || !exact {
                    return Err(wrong());
                }
                Ok(Self::Site { profile: profile.to_owned(), origin: origin.to_owned() })
            }
            "app" => {
                crate::networks::check_name("app name", rest)?;
                Ok(Self::App { name: rest.to_owned() })
            }
            "solution" => Ok(Self::Solution { id: rest.parse().map_err(|_| wrong())? }),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Site { profile, origin } => write!(f, "{origin} (browser profile {profile})"),
            Self::App { name } => write!(f, "the local app {name}"),
            Self::Solution { id } => write!(f, "the plugin of solution {id}"),
        }
    }
}

/// What a grant lets its caller do: the caveats of ERC-2255, typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Caveats {
    /// Actions it may ask for.
    #[serde(default)]
    pub actions: Vec<String>,
    /// State names it may see.
    #[serde(default)]
    pub state: Vec<String>,
}

/// What an approval of kind `caller` keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallerPlan {
    pub(crate) caller: Caller,
    pub(crate) solution: i64,
    pub(crate) caveats: Caveats,
    pub(crate) expires_at: Option<u64>,
}

impl CallerPlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol caller grant\0".as_slice(), &bytes].concat()).to_string())
    }
}

impl Host {
    /// A caller asks for a grant on a solution. It learns nothing but the number of its request.
    ///
    /// # Errors
    /// 4100 for a solution, action or state name that is not there, always in the same words: who was granted nothing
    /// cannot list what the wallet holds. Too many requests.
    pub async fn caller_request(&self, caller: &Caller, input: CallerGrantInput) -> Result<i64, HostError> {
        let proposal = self.grant_proposal(caller, input)?;
        Ok(self.submit(proposal).await?.id)
    }

    /// A caller's question for a grant on a solution.
    pub(crate) fn grant_proposal(&self, caller: &Caller, input: CallerGrantInput) -> Result<Proposal, HostError> {
        self.authorize(&Actor::Caller(caller.clone()), &Operation::Introduce, "wallet_requestPermissions")?;
        let wanted = input.solution.clone();
        let plan = self.caller_plan(caller.clone(), input).map_err(|error| {
            tracing::debug!(%caller, %error, "a caller asked for what is not there");
            HostError::unauthorized(format!("{wanted}: this caller may not ask for that here"))
        })?;
        let rows = self.caller_rows(&plan)?;
        let name = self.solution_name(plan.solution)?;
        Ok(Proposal {
            solution: Some(plan.solution),
            rows,
            warnings: vec!["Each action asks you again, unless you make a policy for this caller.".to_owned()],
            ..Proposal::new(
                "caller",
                Requester::of(&Actor::Caller(caller.clone())),
                plan.digest()?,
                &plan,
                format!("Let {caller} ask for actions of {name} and see the state named here?"),
            )?
        })
    }

    /// The user grants by their own hand.
    ///
    /// # Errors
    /// Not authorised; no such caller, solution, action or state name.
    pub async fn caller_grant(&self, actor: &Actor, input: CallerGrantInput) -> Result<CallerGrantView, HostError> {
        self.authorize(actor, &Operation::Decide, "caller_grant")?;
        let caller = Caller::parse(input.caller.as_deref().unwrap_or_default())?;
        let plan = self.caller_plan(caller, input)?;
        let grant = self.write_caller_grant(&plan, None, &actor.to_string()).await?;
        self.caller_view(&grant)
    }

    /// Every caller's grants that hold now.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn callers(&self, actor: &Actor) -> Result<Vec<CallerGrantView>, HostError> {
        self.authorize(actor, &Operation::Read, "callers")?;
        let filter = CallerGrantFilter { active_at: Some(now()), ..CallerGrantFilter::default() };
        self.store().caller_grants(&filter)?.iter().map(|grant| self.caller_view(grant)).collect()
    }

    /// Takes a caller's grant back, at once. Its policies on that solution end with it.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn caller_revoke(&self, actor: &Actor, id: u64) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "caller_revoke")?;
        let filter = CallerGrantFilter { active_at: Some(now()), ..CallerGrantFilter::default() };
        let grants = self.store().caller_grants(&filter)?;
        let grant = grants
            .iter()
            .find(|grant| grant.id == id)
            .ok_or_else(|| HostError::not_found(format!("there is no caller grant {id}; see `entresol callers`")))?;
        self.revoke_caller_grant(grant, actor).await
    }

    /// Takes a grant back for whoever may: the user, or the caller itself.
    pub(crate) async fn revoke_caller_grant(&self, grant: &CallerGrant, actor: &Actor) -> Result<(), HostError> {
        let intent = JournalIntent {
            solution: Some(grant.solution),
            actor: actor.to_string(),
            action: "revoke caller".into(),
            resource: grant.caller.clone(),
            detail: json!({ "grant": grant.id }),
        };
        self.journaled(intent, async {
            self.revoke_policies(&grant.caller, grant.solution, "the caller's grant was revoked")?;
            Ok(self.store().revoke_caller_grant(grant.id, now())?)
        })
        .await?;
        self.access_changed();
        self.expire_requests("its caller's grant was revoked", |request| {
            request.solution == Some(grant.solution) && request.requester["who"] == json!(grant.caller)
        })
    }

    /// The grants that a caller holds now; what it held on solutions that were removed is gone with them.
    pub(crate) fn grants_of(&self, caller: &Caller) -> Result<Vec<CallerGrant>, HostError> {
        let filter =
            CallerGrantFilter { caller: Some(caller.key()), active_at: Some(now()), ..CallerGrantFilter::default() };
        let mut grants = self.store().caller_grants(&filter)?;
        if !grants.is_empty() {
            let there = self.store().solutions()?;
            grants.retain(|grant| there.iter().any(|solution| solution.id == grant.solution));
        }
        Ok(grants)
    }

    /// What a caller may do on a solution now, if anything.
    pub(crate) fn caveats(&self, caller: &str, solution: i64) -> Result<Option<Caveats>, HostError> {
        let filter =
            CallerGrantFilter { caller: Some(caller.to_owned()), solution: Some(solution), active_at: Some(now()) };
        let grant = self.store().caller_grants(&filter)?.pop();
        grant
            .map(|grant| {
                serde_json::from_value(grant.caveats).map_err(|e| HostError::internal(format!("a stored grant: {e}")))
            })
            .transpose()
    }

    pub(crate) async fn execute_caller(&self, approval: u64, intent: &Json) -> Result<(), HostError> {
        let plan: CallerPlan =
            serde_json::from_value(intent.clone()).map_err(|e| HostError::internal(format!("caller plan: {e}")))?;
        self.write_caller_grant(&plan, Some(approval), "user").await.map(|_| ())
    }

    async fn write_caller_grant(
        &self,
        plan: &CallerPlan,
        approval: Option<u64>,
        actor: &str,
    ) -> Result<CallerGrant, HostError> {
        let caveats = serde_json::to_value(&plan.caveats).map_err(|e| HostError::internal(e.to_string()))?;
        let outcome = json!({ "caller": plan.caller.key() });
        let intent = JournalIntent {
            solution: Some(plan.solution),
            actor: actor.to_owned(),
            action: "grant caller".into(),
            resource: plan.caller.key(),
            detail: caveats.clone(),
        };
        let finished = approval.map(|id| (id, &outcome));
        let key = plan.caller.key();
        let write = async {
            Ok(self.store().put_caller_grant(&key, plan.solution, &caveats, plan.expires_at, finished, now())?)
        };
        let grant = self.journaled(intent, write).await?;
        self.access_changed();
        Ok(grant)
    }

    fn caller_plan(&self, caller: Caller, input: CallerGrantInput) -> Result<CallerPlan, HostError> {
        let solution = self.find(&input.solution)?;
        if caller == (Caller::Solution { id: solution.id }) {
            return Err(HostError::invalid("a solution needs no grant on itself"));
        }
        let interface = crate::interface::Interface::parse(&solution.spec.interface)?;
        for action in &input.actions {
            interface.action(action)?;
        }
        if let Some(unknown) = input.state.iter().find(|name| !interface.state.iter().any(|s| &&s.name == name)) {
            return Err(HostError::not_found(format!("{} publishes no state {unknown:?}", solution.spec.name)));
        }
        if input.actions.is_empty() && input.state.is_empty() {
            return Err(HostError::invalid("name at least one action or state name"));
        }
        if input.expires_at.is_some_and(|at| at <= now()) {
            return Err(HostError::invalid("expiresAt lies in the past"));
        }
        Ok(CallerPlan {
            caller,
            solution: solution.id,
            caveats: Caveats { actions: input.actions, state: input.state },
            expires_at: input.expires_at,
        })
    }

    fn caller_rows(&self, plan: &CallerPlan) -> Result<Vec<Row>, HostError> {
        let solution = self.store().solution(plan.solution)?;
        let interface = solution.map(|row| crate::interface::Interface::parse(&row.spec.interface)).transpose()?;
        let interface = interface.unwrap_or_default();
        let row = |label: &str, value: String| Row { label: label.to_owned(), value };
        let mut rows = vec![row("Caller", plan.caller.to_string())];
        for name in &plan.caveats.actions {
            let action = interface.action(name)?;
            let asks = if action.read_only { "only reads, does not ask" } else { "asks you each time" };
            rows.push(row("May ask for", format!("{} ({asks}) — {}", action.signature(), quoted(&action.description))));
        }
        rows.extend(plan.caveats.state.iter().map(|name| row("May see", name.clone())));
        if let Some(at) = plan.expires_at {
            rows.push(row("Until", crate::text::date(at)));
        }
        Ok(rows)
    }

    fn caller_view(&self, grant: &CallerGrant) -> Result<CallerGrantView, HostError> {
        let caveats: Caveats = serde_json::from_value(grant.caveats.clone())
            .map_err(|e| HostError::internal(format!("a stored grant: {e}")))?;
        Ok(CallerGrantView {
            id: grant.id,
            caller: grant.caller.clone(),
            solution: self.solution_name(grant.solution)?,
            actions: caveats.actions,
            state: caveats.state,
            granted_at: grant.granted_at,
            expires_at: grant.expires_at,
        })
    }

    /// The handle of a solution, removed ones included.
    pub(crate) fn solution_name(&self, id: i64) -> Result<String, HostError> {
        Ok(self.store().solution(id)?.map_or_else(|| format!("solution {id}"), |row| row.spec.name))
    }

    /// A caller in words that a person knows: a solution by its handle.
    pub(crate) fn caller_words(&self, caller: &Caller) -> Result<String, HostError> {
        match caller {
            Caller::Solution { id } => Ok(format!("the plugin of {}", self.solution_name(*id)?)),
            other => Ok(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
