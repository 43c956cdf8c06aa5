//! Connections, and the bytes on them.

pub(crate) mod bodies;
pub(crate) mod connections;
pub(crate) mod head_timer;
pub(crate) mod paced;
pub(crate) mod serve;
pub(crate) mod tls;
