//! Who may pass, before anything is read or done: the order in which a request is looked at.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::HeaderMap;
use serde_json::json;

use crate::auth::Principal;
use crate::shared_state::{Decision, LimitClass as Counted, Subject};
use crate::shares::{Full, Part, Pool, Who};

use super::allow;
use super::authorize::authorize;
use super::client_address::{ClientAddress, client_address};
use super::context::RequestContext;
use super::incidents;
use super::rate_limit;
use super::rate_limit::Refused;
use crate::http::exchange::endpoint::Endpoint;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::state::HttpState;

/// One request's place among those under way.
pub(crate) type Place<'s> = Part<&'s Pool>;

/// A place for who sends a request.
pub(crate) fn place(state: &HttpState, who: Who) -> Result<Place<'_>, ApiError> {
    let pool = state.requests();
    pool.lend(who, 1).map_err(|full| {
        let text = match full {
            Full::Part => "your requests under way are all that one may have; try again",
            Full::All => "too many requests are under way; try again",
        };
        ApiError::new(Code::Overloaded, text)
            .with_details(json!({ "limit": "requests", "max": pool.bound(full) }))
    })
}

/// What the gate found out about a request.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Where it comes from.
    pub(crate) address: IpAddr,
    /// A trusted proxy handed it on.
    pub(crate) is_via_proxy: bool,
    /// Who sends it; none: anybody may.
    pub(crate) principal: Option<Arc<Principal>>,
    /// How far its limit goes; none: it has none.
    pub(crate) decision: Option<Decision>,
}

/// Address → limit by address → who it is and what that may do → limit by principal. Before each limit,
/// which may wait, it takes its place among the requests of whoever is known by then.
pub(crate) async fn pass<'s>(
    state: &'s HttpState,
    context: &RequestContext,
    headers: &HeaderMap,
) -> (Caller, Result<Option<Place<'s>>, ApiError>) {
    let proxies = &state.services().proxies;
    let ClientAddress { address, is_via_proxy } = client_address(proxies, context.peer, headers);
    let mut caller = Caller { address, is_via_proxy, principal: None, decision: None };
    let passed = match context.endpoint {
        Some(endpoint) => look(state, endpoint, headers, context.started, &mut caller).await,
        // The router says that there is nothing.
        None => Ok(None),
    };
    if let Err(error) = &passed {
        let request_id = context.request_id.to_str().unwrap_or_default();
        incidents::refused(state, error, address, request_id, headers);
    }
    (caller, passed)
}

async fn look<'s>(
    state: &'s HttpState,
    endpoint: &'static Endpoint,
    headers: &HeaderMap,
    started: Instant,
    caller: &mut Caller,
) -> Result<Option<Place<'s>>, ApiError> {
    allow::check(&state.services().allow, endpoint, caller.address)?;
    // An instance that is only busy must not be taken for a dead one.
    let needs_place = endpoint.path.starts_with("/api/");
    let mut taken = None;
    let class = endpoint.limit;
    let by_address = class.filter(|class| rate_limit::is_by_address(*class));
    if let Some(class) = by_address {
        taken = needs_place.then(|| place(state, caller.who())).transpose()?;
        let subject = Subject::Address(caller.address);
        caller.count(rate_limit::check(state, class, subject, started).await)?;
    }
    // Who is known stays known, whatever keeps the request out.
    let authorized = authorize(state, endpoint, caller.address, headers)
        .map(|principal| caller.principal = principal);
    if needs_place && (taken.is_none() || caller.principal.is_some()) {
        drop(taken.take());
        taken = Some(place(state, caller.who())?);
    }
    if let Some(class) = class.filter(|_| by_address.is_none()) {
        let subject = match &caller.principal {
            Some(principal) => Subject::Principal(&principal.name),
            // Nobody is known: it counts by where it comes from.
            None => Subject::Address(caller.address),
        };
        let counted = rate_limit::check(state, class, subject, started).await;
        caller.count(counted)?;
    }
    authorized?;
    Ok(taken)
}

impl Caller {
    fn count(&mut self, counted: Result<Option<Decision>, Refused>) -> Result<(), ApiError> {
        match counted {
            Ok(decision) => {
                self.decision = decision;
                Ok(())
            }
            Err(refused) => {
                self.decision = Some(refused.0);
                Err(refused.into())
            }
        }
    }

    /// Whose part of what clients share it takes.
    pub(crate) fn who(&self) -> Who {
        match &self.principal {
            Some(principal) => Who::principal(&principal.name),
            None => Who::address(self.address),
        }
    }

    /// For the routes that ask for it.
    pub(crate) fn tell(&self, request: &mut Request) {
        let extensions = request.extensions_mut();
        let (address, is_via_proxy) = (self.address, self.is_via_proxy);
        extensions.insert(ClientAddress { address, is_via_proxy });
        if let Some(principal) = &self.principal {
            extensions.insert(Arc::clone(principal));
        }
    }

    /// An attempt that succeeded does not count.
    pub(crate) async fn succeeded(&self, state: &HttpState) {
        let is_attempt =
            |decision: &&Decision| decision.class == Counted::Auth && decision.is_allowed;
        if let Some(decision) = self.decision.as_ref().filter(is_attempt) {
            let address = Subject::Address(self.address);
            Box::pin(state.services().limiter.give_back(decision.class, &address)).await;
        }
    }
}
