//! What goes over the wire to and from Acme's API, for whoever asks it and for the mock that answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a token is had.
pub const LOGIN_PATH: &str = "/acme/login";
/// The contacts; one of them is below it, by its id.
pub const CONTACTS_PATH: &str = "/acme/contacts";

/// Values by Acme's names (`acme_first_name`); null: there is none, or it is to be cleared.
pub type Fields = Map<String, Value>;

/// The body of `POST /acme/login`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginRequest {
    /// What Acme has given to us.
    pub api_key: String,
}

/// The answer to it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// A JWT, for `Authorization: Bearer`.
    pub token: String,
    /// Seconds from now on.
    pub expires_in: u64,
}

/// A contact as Acme answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The same as ours, where it was made with ours.
    pub id: String,
    /// All of them, null where there is no value.
    #[serde(flatten)]
    pub fields: Fields,
    /// Rises by one with each change; the `ETag`, in quotes.
    #[serde(default)]
    pub acme_version: u64,
    /// RFC 3339 with milliseconds, by Acme's clock.
    #[serde(default)]
    pub acme_created_at: String,
    /// The same, of the last change.
    #[serde(default)]
    pub acme_updated_at: String,
}

/// The body of `POST /acme/contacts`. That of `PUT /acme/contacts/{id}` is [`Fields`] alone: those that
/// are not named stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewContact {
    /// Acme makes one where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its values.
    #[serde(flatten)]
    pub fields: Fields,
}

/// The answer to `GET /acme/contacts`, in the order of ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactPage {
    /// One page of them.
    pub contacts: Vec<Contact>,
    /// For `?cursor=`; none: this is the last page.
    pub next_cursor: Option<String>,
}

/// Every answer that is no success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What is wrong.
    pub error: ErrorBody,
}

/// What is wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs: `rate_limited`.
    pub code: String,
    /// For people.
    pub message: String,
}
