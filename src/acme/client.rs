//! Asks Acme's API: signs in, keeps to its limits, and reads nothing that is not Acme's.
//!
//! ```text
//! Ask ─► token (one sign-in for all, before the old one ends) ─► outbound ─► status ─► JSON ─► T
//!   ▲                                                              │ 401: another token, once
//!   └──────────── after 6, 12, 24, 48 s or as Acme says ◄──────────┘ 429, 5xx, where somebody waits
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::Secret;
use crate::domain::texts::percent_encoded;
use crate::outbound::{self, Allowed, Answer, OutboundError, retry_after};
use crate::telemetry::{AcmeCall, AcmeMetrics, AcmeResult};

use super::error::AcmeError;
use super::wire::{
    CONTACTS_PATH, Contact, ContactPage, ErrorAnswer, Fields, LOGIN_PATH, Login, LoginRequest,
    NewContact,
};

/// Contacts that Acme gives at once.
pub(super) const PAGE_MAX: usize = 200;
/// Bytes of an answer; a page of the largest contacts has fewer.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// A token is replaced so long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// Tries of one request, where somebody waits.
const ATTEMPTS_MAX: u32 = 5;
/// Before the second try, doubled each time; and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(60));
/// Characters of a code that are repeated.
const CODE_MAX: usize = 64;

/// How long is tried, where Acme asks for patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Once: whoever asks tries again by itself.
    Once,
    /// As long as a try may still be made by then.
    Until(Instant),
}

/// A token, while it is good.
struct Token {
    header: HeaderValue,
    /// By a clock that never steps.
    refresh_at: Instant,
}

/// One request.
struct Ask<'a> {
    call: AcmeCall,
    method: Method,
    /// Path and query.
    path: String,
    body: Option<&'a [u8]>,
    if_match: Option<u64>,
}

/// Asks one Acme.
pub struct AcmeClient {
    http: outbound::Client,
    /// Without a slash at its end.
    url: String,
    api_key: Secret,
    /// Locked while a new one is had, so that there is one sign-in for all.
    token: Mutex<Option<Arc<Token>>>,
    metrics: AcmeMetrics,
}

impl AcmeClient {
    /// At an address that the configuration names, wherever that is.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(
        url: &str,
        api_key: Secret,
        timeout: Duration,
        metrics: AcmeMetrics,
    ) -> Result<Self, OutboundError> {
        let http = outbound::Client::new(Allowed::anywhere(), timeout, ANSWER_BYTES_MAX);
        http.target(url)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http, url, api_key, token: Mutex::default(), metrics })
    }

    /// A contact; none: Acme has none of this id.
    ///
    /// # Errors
    /// What came instead of an answer.
    pub async fn get(&self, id: &str, patience: Patience) -> Result<Option<Contact>, AcmeError> {
        let path = path_of(id);
        let ask =
            Ask { call: AcmeCall::Get, method: Method::GET, path, body: None, if_match: None };
        match self.ask::<Contact>(ask, patience).await {
            Ok(contact) if contact.id == id => Ok(Some(contact)),
            Ok(_) => Err(AcmeError::NotAcme { status: 200, problem: "gave another contact" }),
            Err(error) if error.is(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Contacts in the order of their ids; `cursor`: as the page before gave it.
    ///
    /// # Errors
    /// What came instead of an answer.
    pub async fn list(
        &self,
        cursor: Option<&str>,
        patience: Patience,
    ) -> Result<ContactPage, AcmeError> {
        let mut path = format!("{CONTACTS_PATH}?limit={PAGE_MAX}");
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={}", percent_encoded(cursor)));
        }
        let ask =
            Ask { call: AcmeCall::List, method: Method::GET, path, body: None, if_match: None };
        let page: ContactPage = self.ask(ask, patience).await?;
        if cursor.is_some() && page.next_cursor.as_deref() == cursor {
            let problem = "gives the same page again and again";
            return Err(AcmeError::NotAcme { status: 200, problem });
        }
        let is_ascending = page.contacts.is_sorted_by(|one, next| one.id < next.id);
        if !is_ascending || page.contacts.len() > PAGE_MAX {
            let problem = "lists contacts in another order than that of their ids";
            return Err(AcmeError::NotAcme { status: 200, problem });
        }
        Ok(page)
    }

    /// Makes a contact.
    ///
    /// # Errors
    /// What came instead of an answer; 409 where it is there.
    pub async fn create(
        &self,
        contact: &NewContact,
        patience: Patience,
    ) -> Result<Contact, AcmeError> {
        let body = json_of(contact);
        let (call, path) = (AcmeCall::Create, CONTACTS_PATH.to_owned());
        let ask = Ask { call, method: Method::POST, path, body: Some(&body), if_match: None };
        self.ask(ask, patience).await
    }

    /// Changes fields of the contact that is still at a version.
    ///
    /// # Errors
    /// What came instead of an answer; 412 where it is at another, 404 where it is gone.
    pub async fn update(
        &self,
        id: &str,
        version: u64,
        fields: &Fields,
        patience: Patience,
    ) -> Result<Contact, AcmeError> {
        let body = json_of(fields);
        let (call, path) = (AcmeCall::Update, path_of(id));
        let if_match = Some(version);
        self.ask(Ask { call, method: Method::PUT, path, body: Some(&body), if_match }, patience)
            .await
    }

    /// Deletes the contact that is still at a version. False: there was none.
    ///
    /// # Errors
    /// What came instead of an answer; 412 where it is at another.
    pub async fn delete(
        &self,
        id: &str,
        version: u64,
        patience: Patience,
    ) -> Result<bool, AcmeError> {
        let (call, path) = (AcmeCall::Delete, path_of(id));
        let if_match = Some(version);
        let ask = Ask { call, method: Method::DELETE, path, body: None, if_match };
        match self.ask::<serde_json::Value>(ask, patience).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks, and again while that may help and there is time.
    async fn ask<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        patience: Patience,
    ) -> Result<T, AcmeError> {
        let mut attempt = 1;
        loop {
            let error = match self.signed_in(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = pause_after(attempt, error.retry_after());
            match patience {
                Patience::Until(end)
                    if error.passes() && attempt < ATTEMPTS_MAX && Instant::now() + pause < end =>
                {
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                Patience::Until(_) | Patience::Once => return Err(error),
            }
        }
    }

    /// With a token, and with a new one where Acme no longer takes it.
    async fn signed_in<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, AcmeError> {
        let token = self.token(None).await?;
        match self.once(ask, Some(&token)).await {
            Err(error) if error.is(401) => {
                let token = self.token(Some(&token)).await?;
                self.once(ask, Some(&token)).await
            }
            answer => answer,
        }
    }

    /// A token that is good; `refused`: but not this one.
    async fn token(&self, refused: Option<&Arc<Token>>) -> Result<Arc<Token>, AcmeError> {
        let mut held = self.token.lock().await;
        let asked_at = Instant::now();
        if let Some(token) = held.as_ref()
            && asked_at < token.refresh_at
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, token))
        {
            return Ok(Arc::clone(token));
        }
        *held = None;
        let body = json_of(&LoginRequest { api_key: self.api_key.expose().to_owned() });
        let ask = Ask {
            call: AcmeCall::Login,
            method: Method::POST,
            path: LOGIN_PATH.to_owned(),
            body: Some(&body),
            if_match: None,
        };
        let login: Login = self.once(&ask, None).await?;
        let no_header = AcmeError::NotAcme { status: 200, problem: "gave no token" };
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", login.token)).map_err(|_| no_header)?;
        header.set_sensitive(true);
        let lasts = Duration::from_secs(login.expires_in.min(365 * 86_400));
        // One that lasts no longer than the margin is used for half of its time.
        let good_for = lasts.checked_sub(TOKEN_MARGIN).filter(|rest| !rest.is_zero());
        let good_for = good_for.unwrap_or(lasts / 2);
        let token = Arc::new(Token { header, refresh_at: asked_at + good_for });
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    async fn once<T: DeserializeOwned>(
        &self,
        ask: &Ask<'_>,
        token: Option<&Arc<Token>>,
    ) -> Result<T, AcmeError> {
        let answered = self.send(ask, token).await.and_then(read);
        let result = answered.as_ref().err().map_or(AcmeResult::Done, AcmeError::result);
        self.metrics.request(ask.call, result);
        answered
    }

    async fn send(&self, ask: &Ask<'_>, token: Option<&Arc<Token>>) -> Result<Answer, AcmeError> {
        let target = self.http.target(&format!("{}{}", self.url, ask.path)).map_err(unsent)?;
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        headers.extend(token.map(|token| (AUTHORIZATION, token.header.clone())));
        headers
            .extend(ask.body.map(|_| (CONTENT_TYPE, HeaderValue::from_static("application/json"))));
        let version = ask.if_match.and_then(|it| HeaderValue::try_from(format!("\"{it}\"")).ok());
        headers.extend(version.map(|version| (IF_MATCH, version)));
        let body = Bytes::from(ask.body.unwrap_or_default().to_vec());
        self.http.send(ask.method.clone(), &target, &headers, body).await.map_err(unsent)
    }
}

/// Before the next try, of so many so far.
fn pause_after(attempt: u32, asked: Option<Duration>) -> Duration {
    let doubled = PAUSE.0.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    asked.unwrap_or(doubled).min(PAUSE.1)
}

fn unsent(error: OutboundError) -> AcmeError {
    match error {
        OutboundError::Timeout { ms } => AcmeError::TimedOut { ms },
        other => AcmeError::Unreachable(other.to_string()),
    }
}

/// What an answer says. A proxy's pages are no answers of Acme, but for those that say that it is away.
fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, AcmeError> {
    let status = answer.status.as_u16();
    let not_acme = |problem| AcmeError::NotAcme { status, problem };
    if answer.is_cut {
        return Err(not_acme("answers with more than 16 MiB"));
    }
    if answer.status == StatusCode::NO_CONTENT {
        return serde_json::from_slice(b"null").map_err(|_| not_acme("answers without a body"));
    }
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body)
            .map_err(|_| not_acme("answers with something else than the JSON of its API"));
    }
    if answer.status.is_redirection() {
        return Err(not_acme("redirects elsewhere"));
    }
    let code = serde_json::from_slice::<ErrorAnswer>(&answer.body).ok();
    let code = code.map(|answer| answer.error.code).filter(|code| is_code(code));
    if code.is_none() && answer.status == StatusCode::NOT_FOUND {
        return Err(not_acme("has nothing at the paths of its API"));
    }
    let after = retry_after(&answer.headers, SystemTime::now());
    Err(AcmeError::Answered { status, code: code.unwrap_or_else(|| "-".to_owned()), after })
}

/// Whether it is a word for programs, which holds nothing of a contact.
fn is_code(code: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=CODE_MAX).contains(&code.len()) && code.chars().all(legal)
}

/// Maps and structs of texts and numbers always are JSON.
fn json_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// No contact's id is made of dots alone, which would be taken away from the path.
fn path_of(id: &str) -> String {
    format!("{CONTACTS_PATH}/{}", percent_encoded(id))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), is_cut: false }
    }

    #[test]
    fn pauses_double_up_to_a_minute_unless_acme_says_when() {
        let pauses = [1, 2, 3, 4, 5].map(|attempt| pause_after(attempt, None).as_secs());
        assert_eq!(pauses, [6, 12, 24, 48, 60]);
        assert_eq!(pause_after(1, Some(Duration::from_secs(3))).as_secs(), 3);
        assert_eq!(pause_after(1, Some(Duration::from_secs(9_999))).as_secs(), 60);
    }

    #[test]
    fn errors_name_status_and_code_and_nothing_else() {
        let error = |status, body| read::<Contact>(answer(status, body)).unwrap_err();
        let refused = r#"{"error":{"code":"invalid_field","message":"ada@example.com is none"}}"#;
        let refused = error(400, refused);
        assert_eq!(refused.to_string(), "Acme answered 400 invalid_field");
        assert!(refused.blames_request());
        let loose = r#"{"error":{"code":"ada@example.com","message":""}}"#;
        assert_eq!(error(400, loose).to_string(), "Acme answered 400 -");
        for (status, body, passes) in [
            (429, "", true),
            (500, "<html>", true),
            (503, "{}", true),
            (401, "", false),
            (403, "<html>", false),
        ] {
            let error = error(status, body);
            assert_eq!((error.passes(), error.blames_request()), (passes, false), "{error}");
        }
    }

    #[test]
    fn what_is_not_acme_is_said() {
        for (status, body, problem) in [
            (200, "<html><body>Sign in</body></html>", "something else than the JSON"),
            (200, r#"{"id":"ada","acme_first"#, "something else than the JSON"),
            (204, "", "without a body"),
            (302, "", "redirects"),
            (404, "<html>", "nothing at the paths"),
        ] {
            let error = read::<Contact>(answer(status, body)).unwrap_err();
            assert!(matches!(error, AcmeError::NotAcme { .. }), "{status} {body}: {error}");
            assert!(error.to_string().contains(problem), "{error}");
        }
    }

    #[test]
    fn an_id_is_one_segment_whatever_it_holds() {
        assert_eq!(path_of("a/b?c.é"), "/acme/contacts/a%2Fb%3Fc.%C3%A9");
    }
}
