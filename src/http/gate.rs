//! Who may pass, before anything is read or done: the order in which a request is looked at.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;

use crate::auth::Principal;
use crate::shared_state::{Decision, LimitClass as Counted, Subject};

use super::allow;
use super::authorize::authorize;
use super::client_address::{ClientAddress, client_address};
use super::endpoints::Endpoint;
use super::error::ApiError;
use super::rate_limit::{self, Refused};
use super::serve::Peer;
use super::state::HttpState;

/// What the gate found out about a request.
#[derive(Debug)]
pub(super) struct Passing {
    /// Where it comes from.
    pub(super) address: IpAddr,
    /// How far its limit goes; none: it has none.
    pub(super) decision: Option<Decision>,
}

/// Address → limit by address → who it is and what that may do → limit by principal.
pub(super) async fn pass(
    state: &HttpState,
    endpoint: Option<&'static Endpoint>,
    request: &mut Request,
    started: Instant,
) -> (Passing, Result<(), ApiError>) {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = client_address(state.proxies(), peer, request.headers());
    request.extensions_mut().insert(ClientAddress(address));
    let mut passing = Passing { address, decision: None };
    let passed = match endpoint {
        Some(endpoint) => look(state, endpoint, request, started, &mut passing).await,
        // The router says that there is nothing.
        None => Ok(()),
    };
    (passing, passed)
}

async fn look(
    state: &HttpState,
    endpoint: &'static Endpoint,
    request: &mut Request,
    started: Instant,
    passing: &mut Passing,
) -> Result<(), ApiError> {
    allow::check(state.allow(), endpoint, passing.address)?;
    let class = rate_limit::counted(endpoint.limit);
    let by_address = class.filter(|class| rate_limit::is_by_address(*class));
    if let Some(class) = by_address {
        let subject = Subject::Address(passing.address);
        passing.count(rate_limit::check(state, class, subject, started).await)?;
    }
    let authorized = authorize(state, endpoint, request);
    let Some(class) = class.filter(|_| by_address.is_none()) else {
        return authorized;
    };
    if authorized.is_err() {
        // Nobody is known yet: what is refused counts by where it comes from.
        let subject = Subject::Address(passing.address);
        passing.count(rate_limit::check(state, class, subject, started).await)?;
        return authorized;
    }
    let principal = request.extensions().get::<Arc<Principal>>().cloned();
    let subject = match &principal {
        Some(principal) => Subject::Principal(&principal.name),
        None => Subject::Address(passing.address),
    };
    passing.count(rate_limit::check(state, class, subject, started).await)
}

impl Passing {
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

    /// An attempt that succeeded does not count.
    pub(super) async fn succeeded(&self, state: &HttpState) {
        let is_attempt =
            |decision: &&Decision| decision.class == Counted::Auth && decision.is_allowed;
        if let Some(decision) = self.decision.as_ref().filter(is_attempt) {
            let address = Subject::Address(self.address);
            Box::pin(state.limiter().give_back(decision.class, &address)).await;
        }
    }
}
