//! Dead letters, and sending them through again.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, EXAMINERS, Endpoint, OPERATORS, READ, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/dead-letters", EXAMINERS, READ, routes::list, description::list;
    GET "/api/dead-letters/{id}", EXAMINERS, READ, routes::show, description::show;
    POST "/api/dead-letters/redrive", OPERATORS, WRITE, routes::redrive, description::redrive;
    POST "/api/dead-letters/discard", ADMINS, WRITE, routes::discard, description::discard;
    POST "/api/dead-letters/redrive/{id}", OPERATORS, WRITE, routes::redrive_one, description::redrive_one;
    GET "/api/dead-letters/redrives", EXAMINERS, READ, routes::jobs, description::redrives;
    GET "/api/dead-letters/redrives/{id}", EXAMINERS, READ, routes::job, description::one_redrive;
    DELETE "/api/dead-letters/redrives/{id}", OPERATORS, WRITE, routes::stop_job, description::stop_redrive;
    DELETE "/api/dead-letters/{id}", ADMINS, WRITE, routes::discard_one, description::discard_one;
];
