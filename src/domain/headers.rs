//! Names of the record headers that mean something here.
//!
//! What only we may say (that a record is a command, whom it is from) stands in headers, not in the
//! value: a webhook's body goes to the log as it came, and must not pass for a command.

/// Marks a command of ours: [`COMMAND_UPDATE`] or [`COMMAND_REPLACE`].
pub const COMMAND: &str = "contactd_command";
/// Value of [`COMMAND`]: sets what it names.
pub const COMMAND_UPDATE: &str = "update";
/// Value of [`COMMAND`]: replaces the contact (PUT).
pub const COMMAND_REPLACE: &str = "replace";
/// The version that the contact must have for the command, in decimal; 0: it must not exist.
pub const EXPECTED_VERSION: &str = "contactd_expected_version";
/// 16 bytes that stand for what was asked for, so that a retry is told from another request under
/// the same id; absent: the value's own content counts.
pub const REQUEST_HASH: &str = "contactd_request_hash";
/// Who gave the command.
pub const PRINCIPAL: &str = "contactd_principal";
/// The request that gave the command.
pub const REQUEST_ID: &str = "contactd_request_id";
/// The source as the intake verified it; counts instead of the one that the event names.
pub const SOURCE: &str = "contactd_source";
/// Where a bridged record was read, `topic:partition:offset`.
pub const ORIGIN: &str = "contactd_origin";
/// The key that it had there, where that is not its contact's id.
pub const ORIGIN_KEY: &str = "contactd_origin_key";
/// The time of its record there, in ms since 1970, where the contact log would not take that.
pub const ORIGIN_TIMESTAMP: &str = "contactd_origin_timestamp";
/// How many bytes its value had there, where only its head could be appended.
pub const ORIGIN_BYTES: &str = "contactd_origin_bytes";
/// Starts the names of all headers that only we may write.
pub const OURS_PREFIX: &str = "contactd_";
/// The media type of the value.
pub const CONTENT_TYPE: &str = "content-type";
/// Starts the names of a binary CloudEvent's attributes.
pub const CLOUDEVENT_PREFIX: &str = "ce_";
