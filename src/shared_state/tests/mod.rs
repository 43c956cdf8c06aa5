//! Limits against a model and against another implementation, and what an instance decides alone.

mod arithmetic;
mod instance;
mod revoked;
mod scripts;
