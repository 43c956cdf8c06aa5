//! Sign-ins of our own page: the refresh token is in a cookie that no script can read.
//!
//! Who can make a browser send the cookie must not be able to use it. It is `SameSite=Strict`, goes to
//! these paths only, and lets nobody in by itself: the answer is an access token, which other origins
//! can't read. Besides, the request needs a header that forms and links can't have and CORS does not
//! allow, and browsers say whose page asks (`Sec-Fetch-Site`): another port of this host is no other
//! *site*, but another *origin*.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, COOKIE, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use crate::auth::SignedIn;

use super::answers::AccessToken;
use super::signing::{origin, signed_in, users};
use crate::http::edge::client_address::ClientAddress;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

const NAME: &str = "contactd_refresh";
/// Signing out is there as well, and forgets it.
const PATH: &str = "/api/auth";
const OF_PAGE: HeaderName = HeaderName::from_static("x-contactd-page");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `POST /api/auth/cookie`
pub(super) async fn login(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    check_page(&state, &headers)?;
    let signed_in = signed_in(&state, address, &headers, &body).await?;
    answer(&state, &headers, signed_in)
}

/// `POST /api/auth/cookie/refresh`
pub(super) async fn refresh(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    check_page(&state, &headers)?;
    let Some(token) = refresh_token(&headers) else {
        let text = "there is no cookie with a refresh token; sign in";
        return Err(ApiError::new(Code::InvalidRefreshToken, text));
    };
    let origin = origin(address, &headers);
    let signed_in = users(&state)?.refresh(token, &origin).await?;
    answer(&state, &headers, signed_in)
}

/// Takes the cookie away, where there is one.
pub(super) fn forget(headers: &HeaderMap, response: &mut Response) {
    if refresh_token(headers).is_some()
        && let Ok(cookie) = HeaderValue::from_maybe_shared(cookie(headers, "", 0))
    {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

fn check_page(state: &HttpState, headers: &HeaderMap) -> Result<(), ApiError> {
    if !state.services().has_page {
        let text = "sign-ins by cookie are for the page, which is off: page.enabled";
        return Err(ApiError::new(Code::Forbidden, text));
    }
    let is_ours = headers.get(FETCH_SITE).is_none_or(|site| site == "same-origin");
    if is_ours && headers.contains_key(OF_PAGE) {
        return Ok(());
    }
    let text = "sign-ins by cookie are for the page of this origin, which sends X-Contactd-Page; \
                programs use /api/auth/login";
    Err(ApiError::new(Code::Forbidden, text))
}

fn refresh_token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

fn answer(
    state: &HttpState,
    headers: &HeaderMap,
    signed_in: SignedIn,
) -> Result<Response, ApiError> {
    let lasts_s = users(state)?.refresh_lifetime_s();
    let cookie = cookie(headers, &signed_in.refresh_token, lasts_s);
    let cookie = HeaderValue::from_maybe_shared(cookie)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    let token = Json(AccessToken::of(signed_in));
    let mut response = ([(CACHE_CONTROL, "no-store")], token).into_response();
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

/// `Secure` where the browser itself speaks TLS, to us or to a proxy before us: over plain HTTP it would
/// not keep such a one.
fn cookie(headers: &HeaderMap, token: &str, lasts_s: u64) -> String {
    let speaks_tls =
        headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if speaks_tls { "; Secure" } else { "" };
    format!("{NAME}={token}; Path={PATH}; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}")
}
