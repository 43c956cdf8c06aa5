//! Who may do what: users, keys, tokens and roles.

mod roles;

pub use roles::{Principal, Role, Roles};
