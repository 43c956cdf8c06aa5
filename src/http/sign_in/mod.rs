//! Signing in, staying signed in, signing out, and who one is.

mod answers;
mod cookie;
mod description;
mod requests;
mod routes;
mod signing;

pub(super) use signing::origin;

use super::exchange::endpoint::{ANYBODY, AUTH, Endpoint, PUBLIC, READ, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/auth/login", PUBLIC, AUTH, routes::login, description::login;
    POST "/api/auth/refresh", PUBLIC, AUTH, routes::refresh, description::refresh;
    POST "/api/auth/cookie", PUBLIC, AUTH, cookie::login, description::cookie_login;
    POST "/api/auth/cookie/refresh", PUBLIC, AUTH, cookie::refresh, description::cookie_refresh;
    POST "/api/auth/password", ANYBODY, AUTH, routes::change_password, description::change_password;
    GET "/api/auth/me", ANYBODY, READ, routes::me, description::me;
    GET "/api/auth/tokens", ANYBODY, READ, routes::sessions, description::sessions;
    DELETE "/api/auth/tokens/{id}", ANYBODY, WRITE, routes::end_session, description::end_session;
    POST "/api/auth/logout", ANYBODY, AUTH, routes::logout, description::logout;
];
