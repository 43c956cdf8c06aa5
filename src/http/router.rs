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
use super::sockets::connections::Peer;
use super::state::HttpState;
use super::{
    about, acme, contacts, dead_letters, edge, feed, followers, overview, page, rules, sign_in,
    simulator, webhooks,
};

/// The rows of all areas, in the order of the description and of the collection.
const AREAS: [&[Endpoint]; 12] = [
    sign_in::ENDPOINTS,
    contacts::ENDPOINTS,
    feed::ENDPOINTS,
    webhooks::ENDPOINTS,
    simulator::ENDPOINTS,
    dead_letters::ENDPOINTS,
    followers::ENDPOINTS,
    overview::ENDPOINTS,
    about::ENDPOINTS,
    rules::ENDPOINTS,
    about::DOCUMENTS,
    page::ENDPOINTS,
];

/// Of what is always there, and of Acme where that is configured.
pub(crate) fn endpoints(has_acme: bool) -> impl Iterator<Item = &'static Endpoint> {
    let of_acme = if has_acme { acme::ENDPOINTS } else { &[] };
    AREAS.into_iter().flatten().chain(of_acme)
}

const METRICS: &str = "/metrics";
/// What `telemetry.listen` answers.
const OF_TELEMETRY: [&str; 4] = [METRICS, "/livez", "/readyz", "/healthz"];

/// The templates of all paths of the API's address.
pub(crate) fn api_paths(state: &HttpState) -> Vec<&'static str> {
    let mut paths = paths(state.services().has_acme);
    paths.retain(|path| *path != METRICS || !state.services().metrics_elsewhere);
    paths
}

/// The templates of all paths.
fn paths(has_acme: bool) -> Vec<&'static str> {
    let mut paths = Vec::new();
    for endpoint in endpoints(has_acme) {
        if !paths.contains(&endpoint.path) {
            paths.push(endpoint.path);
        }
    }
    paths
}

/// Every endpoint with the roles of which one is needed; none: anybody may ask.
pub fn access_table(has_acme: bool) -> Vec<(Method, &'static str, Option<Roles>)> {
    let row = |endpoint: &Endpoint| {
        let needed = match endpoint.access {
            Access::Public => None,
            Access::Roles(roles) => Some(roles),
        };
        (endpoint.method.clone(), endpoint.path, needed)
    };
    endpoints(has_acme).map(row).collect()
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
        let all = endpoints(state.services().has_acme);
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
    let text = if !state.services().metrics_elsewhere {
        "there is nothing at this path; / lists what there is"
    } else if uri.path() == METRICS {
        "metrics have an address of their own here: telemetry.listen"
    } else {
        "there is nothing at this path; / of the API lists what there is"
    };
    ApiError::new(Code::RouteNotFound, text)
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
