//! `/api/keys`: API keys of programs, made, listed and revoked; and `/api/users`: who signs in.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, OPERATORS, READ, WRITE, endpoints};

pub(crate) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/keys", OPERATORS, READ, routes::list, description::list;
    POST "/api/keys", ADMINS, WRITE, routes::create, description::create;
    DELETE "/api/keys/{name}", ADMINS, WRITE, routes::revoke, description::revoke;
    GET "/api/users", OPERATORS, READ, routes::users, description::users;
    PATCH "/api/users/{name}", ADMINS, WRITE, routes::change_user, description::change_user;
];
