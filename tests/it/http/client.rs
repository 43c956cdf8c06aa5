//! Requests to a router without a socket, and answers that are easy to look at.

use axum::body::Body;
use axum::http::{Method, Request};
use contactd::http::Api;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

pub(super) use crate::support::answer::Answer;

pub(super) async fn send(router: &Api, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router never fails");
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
