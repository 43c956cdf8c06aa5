//! Requests to a router without a socket, and answers that are easy to look at.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::http::{Method, Request};
use contactd::auth::Role;
use contactd::http::Api;
use http_body_util::BodyExt as _;

use crate::support::access;
pub(super) use crate::support::answer::Answer;

/// Where a request comes from, in its extensions.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// As an admin, where the request says nothing else.
pub(super) async fn send(router: &Api, mut request: Request<Body>) -> Answer {
    let headers = request.headers_mut();
    if !headers.contains_key("authorization") && !headers.contains_key("x-api-key") {
        let key = access::key(Role::Admin).parse().expect("a header");
        headers.insert("x-api-key", key);
    }
    send_as_it_is(router, request).await
}

pub(super) async fn send_as_it_is(router: &Api, request: Request<Body>) -> Answer {
    let peer = request.extensions().get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |at| at.0);
    let response = router.answer(peer, request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(super) async fn ask(
    router: &Api,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::empty()).expect("a request")).await
}

pub(super) async fn get(router: &Api, path: &str) -> Answer {
    ask(router, Method::GET, path, &[]).await
}

pub(super) async fn get_with(router: &Api, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(router, Method::GET, path, headers).await
}
