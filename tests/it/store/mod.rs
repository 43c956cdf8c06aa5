//! The store as a library: against a model of it, and against files that earlier versions wrote.

mod formats;
mod model;
mod world;
