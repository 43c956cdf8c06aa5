//! Dead letters, and sending them through again.

pub(crate) mod answers;
pub(crate) mod description;
pub(crate) mod routes;
pub(crate) mod shapes;
