//! An HTTP answer that is easy to look at.

use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}"));
        value.to_str().expect("a header of text")
    }

    /// The stable code of an error.
    #[track_caller]
    pub fn code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        assert_eq!(error["status"], self.status.as_u16());
        assert_eq!(error["requestId"], self.header("x-request-id"));
        error["code"].as_str().expect("a code").to_owned()
    }

    /// Fails unless it is the error of this status and code.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code, "{}", String::from_utf8_lossy(&answer.body));
        answer
    }

    /// The error without what differs each time.
    #[track_caller]
    pub fn stable_error(&self) -> Value {
        let mut json = self.json();
        for place in ["/error/timestamp", "/error/requestId", "/requestId"] {
            if let Some(value) = json.pointer_mut(place) {
                *value = Value::from("…");
            }
        }
        json
    }
}
