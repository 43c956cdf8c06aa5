//! The Acme CRM: what its API says, its client, keeping both sides alike, and a mock of it to try it with.
//!
//! ```text
//! changes here ─► AcmeSync (a follower) ─┐
//! POST /api/contacts/{id}/sync ──────────┼─► Acme (plan: what is sent, what is taken) ─► AcmeClient ─► Acme's API
//! POST /api/acme/pull, …/reconcile ──────┘       └─► an event of the source, onto the contact log
//! changes there ─► webhooks (`ingest/webhooks`)
//! ```

mod base;
mod client;
mod desk;
mod error;
pub mod mock;
mod pages;
mod plan;
mod settle;
mod sync;
mod theirs;
mod wire;

pub use client::{AcmeClient, Patience};
pub use desk::{Acme, SyncError, Synced, There};
pub use error::AcmeError;
pub use pages::{Drift, PullPage, ReconcilePage};
pub use sync::AcmeSync;
pub use wire::{
    CONTACTS_PATH, Contact, ContactPage, ErrorAnswer, ErrorBody, Fields, LOGIN_PATH, Login,
    LoginRequest, NewContact,
};
