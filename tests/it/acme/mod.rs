//! The Acme CRM: the mock, as its clients and its receivers meet it.

mod client;
mod crossing;
mod endpoints;
mod mock;
mod mock_command;
mod mock_webhooks;
mod suite;
mod sync;
mod world;
