//! Connections, and the bytes on them.

pub(crate) mod bodies;
mod certificate;
pub(crate) mod connections;
pub(crate) mod head_timer;
mod http2;
mod http2_stream;
pub(crate) mod paced;
pub(crate) mod serve;
pub(crate) mod tls;
