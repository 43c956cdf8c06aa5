//! The Acme CRM: the mock, as its clients and its receivers meet it.

mod mock;
mod mock_command;
mod mock_webhooks;
