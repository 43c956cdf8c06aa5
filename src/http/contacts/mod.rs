//! Contacts: reads, lists, writes, merges, and what became of events.

mod answers;
mod batch;
mod body;
mod description;
mod email;
mod errors;
mod events;
mod everything;
mod export;
pub(crate) mod idempotency;
mod links;
mod list;
mod merges;
mod preconditions;
mod read;
mod requests;
mod revert;
mod write;
mod write_description;
pub(super) mod writing;

use super::exchange::endpoint::{Endpoint, OPERATORS, READ, READERS, WRITE, WRITERS, endpoints};

/// What reads show is written first.
pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/contacts", WRITERS, WRITE, write::create, write_description::create;
    PUT "/api/contacts/{id}", WRITERS, WRITE, write::put, write_description::put;
    PATCH "/api/contacts/{id}", WRITERS, WRITE, write::patch, write_description::patch;
    POST "/api/contacts/batch", WRITERS, WRITE, batch::write, write_description::batch;
    POST "/api/contacts/{id}/links", WRITERS, WRITE, links::create, write_description::link;
    DELETE "/api/contacts/{id}/links/{source}", WRITERS, WRITE, links::delete, write_description::unlink;
    POST "/api/contacts/{id}/merge", WRITERS, WRITE, merges::merge, write_description::merge;
    GET "/api/merges/{id}", READERS, READ, merges::show, write_description::one_merge;
    DELETE "/api/contacts/{id}", WRITERS, WRITE, write::delete, write_description::delete;
    POST "/api/contacts/{id}/restore", WRITERS, WRITE, write::restore, write_description::restore;
    POST "/api/contacts/{id}/revert", WRITERS, WRITE, revert::revert, write_description::revert;
    GET "/api/contacts", READERS, READ, list::list, description::list;
    GET "/api/contacts/{id}", READERS, READ, read::show, description::get;
    GET "/api/contacts/{id}/history", READERS, READ, read::history, description::history;
    GET "/api/export", READERS, READ, export::show, export::describe;
    GET "/api/contacts/{id}/everything", OPERATORS, READ, everything::show, description::everything;
    GET "/api/events", READERS, READ, events::list, description::events;
    GET "/api/events/{id}", READERS, READ, events::show, description::event;
];
