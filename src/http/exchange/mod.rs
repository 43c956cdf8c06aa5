//! What a request and an answer are made of.

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod json_body;
pub(crate) mod links;
pub(crate) mod page;
pub(crate) mod params;
pub(crate) mod position;
pub(crate) mod timestamp;
