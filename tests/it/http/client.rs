//! Requests to a router without a socket, and answers that are easy to look at.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use contactd::http::Api;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}"));
        value.to_str().expect("a header of text")
    }

    /// The stable code of an error.
    #[track_caller]
    pub(super) fn code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        assert_eq!(error["status"], self.status.as_u16());
        assert_eq!(error["requestId"], self.header("x-request-id"));
        error["code"].as_str().expect("a code").to_owned()
    }

    /// The error without what differs each time.
    #[track_caller]
    pub(super) fn stable_error(&self) -> Value {
        let mut json = self.json();
        for place in ["/error/timestamp", "/error/requestId", "/requestId"] {
            if let Some(value) = json.pointer_mut(place) {
                *value = Value::from("…");
            }
        }
        json
    }
}

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
