//! Dead letters, and sending them through again.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, READ, WRITE, WRITERS, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/dead-letters", WRITERS, READ, routes::list, description::list;
    GET "/api/dead-letters/{id}", WRITERS, READ, routes::show, description::show;
    POST "/api/dead-letters/redrive", ADMINS, WRITE, routes::redrive, description::redrive;
    POST "/api/dead-letters/discard", ADMINS, WRITE, routes::discard, description::discard;
    POST "/api/dead-letters/redrive/{id}", ADMINS, WRITE, routes::redrive_one, description::redrive_one;
    GET "/api/dead-letters/redrives", WRITERS, READ, routes::jobs, description::redrives;
    GET "/api/dead-letters/redrives/{id}", WRITERS, READ, routes::job, description::one_redrive;
    DELETE "/api/dead-letters/redrives/{id}", ADMINS, WRITE, routes::stop_job, description::stop_redrive;
    DELETE "/api/dead-letters/{id}", ADMINS, WRITE, routes::discard_one, description::discard_one;
];
