//! Asks an instance over HTTP; cheap to clone, connections are shared.

use std::net::SocketAddr;

use axum::http::Method;
use contactd::auth::Role;
use serde_json::Value;

use super::access;
use super::answer::Answer;

#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        // Refused where it is installed already, by another test of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = format!("http://{address}");
        Self { base, http: reqwest::Client::new(), headers: Vec::new() }
    }

    /// With the API key of a role.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        self.anonymous().with("x-api-key", &access::key(role))
    }

    /// With an access token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.anonymous().with("authorization", &format!("Bearer {token}"))
    }

    /// Without any credentials.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.headers.retain(|(name, _)| name != "x-api-key" && name != "authorization");
        self
    }

    /// Sends this header with every request, in place of an earlier one of its name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// A merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let client = self.clone().with("content-type", "application/merge-patch+json");
        client.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// A JSON body is sent as such, unless a header says otherwise.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.send_bytes(method, path, body.map(|body| body.to_string().into_bytes())).await
    }

    /// Without reading what a good answer says, which may have no end.
    pub async fn head_of(&self, method: Method, path: &str) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            Vec::new()
        } else {
            response.bytes().await.expect("a whole body").to_vec()
        };
        Answer { status, headers, body }
    }

    pub async fn send_bytes(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        let is_typed = self.headers.iter().any(|(name, _)| name == "content-type");
        if body.is_some() && !is_typed {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body").to_vec();
        Answer { status, headers, body }
    }
}
