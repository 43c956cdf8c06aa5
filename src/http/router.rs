//! The router, made from the rows of all areas.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any};
use tower::Service as _;

use crate::auth::Roles;
use crate::telemetry::PoolMetrics;

use super::exchange::endpoint::{Access, Endpoint};
use super::exchange::error::{ApiError, Code};
use super::services::Optional;
use super::sockets::connections::Peer;
use super::state::HttpState;
use super::{
    about, acme, backups, contacts, dead_letters, edge, feed, followers, imports, keys, overview,
    page, payments, reload, rules, sign_in, simulator, sources, subscriptions, webhooks,
};

/// The rows of all areas, in the order of the description and of the collection.
fn areas(there: Optional) -> [&'static [Endpoint]; 20] {
    let of = |is_there, rows: &'static [Endpoint]| if is_there { rows } else { &[] };
    [
        sign_in::ENDPOINTS,
        keys::ENDPOINTS,
        contacts::ENDPOINTS,
        of(there.payments, payments::ENDPOINTS),
        feed::ENDPOINTS,
        webhooks::ENDPOINTS,
        sources::ENDPOINTS,
        of(there.simulator, simulator::ENDPOINTS),
        dead_letters::ENDPOINTS,
        followers::ENDPOINTS,
        subscriptions::ENDPOINTS,
        overview::ENDPOINTS,
        backups::ENDPOINTS,
        imports::ENDPOINTS,
        about::ENDPOINTS,
        rules::ENDPOINTS,
        reload::ENDPOINTS,
        about::DOCUMENTS,
        page::ENDPOINTS,
        of(there.acme, acme::ENDPOINTS),
    ]
}

/// Of what is always there, and of what else there is.
pub(crate) fn endpoints(there: Optional) -> impl Iterator<Item = &'static Endpoint> {
    areas(there).into_iter().flatten()
}

const METRICS: &str = "/metrics";
/// What `telemetry.listen` answers.
const OF_TELEMETRY: [&str; 4] = [METRICS, "/livez", "/readyz", "/healthz"];

/// The templates of all paths of the API's address.
pub(crate) fn api_paths(state: &HttpState) -> Vec<&'static str> {
    let mut paths = paths(state.services().optional());
    paths.retain(|path| *path != METRICS || !state.services().metrics_elsewhere);
    paths
}

/// The templates of all paths.
fn paths(there: Optional) -> Vec<&'static str> {
    let mut paths = Vec::new();
    for endpoint in endpoints(there) {
        if !paths.contains(&endpoint.path) {
            paths.push(endpoint.path);
        }
    }
    paths
}

/// Every endpoint with the roles of which one is needed; none: anybody may ask.
pub fn access_table(there: Optional) -> Vec<(Method, &'static str, Option<Roles>)> {
    let row = |endpoint: &Endpoint| {
        let needed = match endpoint.access {
            Access::Public => None,
            Access::Roles(roles) => Some(roles),
        };
        (endpoint.method.clone(), endpoint.path, needed)
    };
    endpoints(there).map(row).collect()
}

/// Everything that the API's address answers, with what holds for every request around it.
pub fn router(state: HttpState) -> Api {
    let paths = api_paths(&state);
    answering(state, &paths, ["connections", "streams", "streams_unknown"])
}

/// The same for the address that metrics have of their own.
pub fn telemetry_router(state: HttpState) -> Api {
    let pools = ["telemetry_connections", "telemetry_streams", "telemetry_streams_unknown"];
    answering(state, &OF_TELEMETRY, pools)
}

fn answering(state: HttpState, paths: &[&'static str], pools: [&'static str; 3]) -> Api {
    let mut routes = Router::new();
    for path in paths.iter().copied() {
        let all = endpoints(state.services().optional());
        let mut there: Vec<_> = all.filter(|endpoint| endpoint.path == path).collect();
        // As `Allow` lists them.
        there.sort_by_key(|endpoint| endpoint.method != Method::GET);
        let methods = there
            .iter()
            .fold(MethodRouter::new(), |methods, endpoint| methods.merge(endpoint.route()))
            .fallback(method_not_allowed);
        routes = routes.route(path, edge::around(methods, &state, path, there));
    }
    Api::new(routes, state, pools)
}

async fn route_not_found(State(state): State<HttpState>, uri: Uri) -> ApiError {
    if uri.path().starts_with(simulator::PATH) && state.services().simulator.is_none() {
        return simulator::off();
    }
    let is_of = |rows: &[Endpoint]| rows.iter().any(|endpoint| fits(endpoint.path, uri.path()));
    if !state.services().has_payments && is_of(payments::ENDPOINTS) {
        return payments::off();
    }
    let is_of_acme = || is_of(acme::ENDPOINTS);
    let text = if !state.services().has_acme && is_of_acme() {
        "Acme is not configured here: set acme.url"
    } else if !state.services().metrics_elsewhere {
        "there is nothing at this path; / lists what there is"
    } else if uri.path() == METRICS {
        "metrics have an address of their own here: telemetry.listen"
    } else {
        "there is nothing at this path; / of the API lists what there is"
    };
    ApiError::new(Code::RouteNotFound, text)
}

/// Whether a path is one of a template's.
fn fits(template: &str, path: &str) -> bool {
    let mut pairs = template.split('/').zip(path.split('/'));
    template.matches('/').count() == path.matches('/').count()
        && pairs.all(|(named, there)| named.starts_with('{') || named == there)
}

/// The router adds `Allow`.
async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    // Words like a method may come from anywhere; they are not echoed.
    ApiError::new(
        Code::MethodNotAllowed,
        "this resource has no such method; Allow lists those it has",
    )
    .into_response()
}

/// Everything that is answered.
#[derive(Clone)]
pub struct Api {
    routes: Router,
    state: HttpState,
    /// Names of what bounds its connections, and their streams: of known clients, and of others.
    pools: [&'static str; 3],
}

impl Api {
    pub(crate) fn new(
        routes: Router<HttpState>,
        state: HttpState,
        pools: [&'static str; 3],
    ) -> Self {
        let nowhere = edge::around(any(route_not_found), &state, edge::UNMATCHED, Vec::new());
        let routes = routes.fallback_service(nowhere.with_state(state.clone()));
        Self { routes: routes.with_state(state.clone()), state, pools }
    }

    /// The figures of its connections, and of their streams.
    pub(crate) fn pools(&self) -> [PoolMetrics; 3] {
        self.pools.map(|pool| self.state.metrics().pool(pool))
    }

    /// The answer to a request that came from an address, though by no connection of ours.
    pub async fn answer(&self, address: IpAddr, request: Request) -> Response {
        self.answer_to(&Arc::new(Peer::in_process(address)), request).await
    }

    /// The answer to a request.
    pub(crate) async fn answer_to(&self, peer: &Arc<Peer>, mut request: Request) -> Response {
        request.extensions_mut().insert(Arc::clone(peer));
        let Ok(response) = self.routes.clone().call(request).await;
        response
    }
}
