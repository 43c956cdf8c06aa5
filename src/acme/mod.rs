//! The Acme CRM: what its API says, and a mock of it to try it with.

pub mod mock;
mod wire;

pub use wire::{
    CONTACTS_PATH, Contact, ContactPage, ErrorAnswer, ErrorBody, Fields, LOGIN_PATH, Login,
    LoginRequest, NewContact,
};
