//! What comes in besides the log: API writes become commands on the log, webhooks events.
