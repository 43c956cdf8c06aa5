//! What of an input's record a source's table can read: where a schema registry is configured, Avro as
//! JSON, by the schema that it was written by.

use std::borrow::Cow;

use crate::domain::avro::{AvroError, to_json};
use crate::domain::decode::{KeyForm, Reject, frame, key_schema_id, value_schema_id};
use crate::domain::record::{Headers, Record, RecordBatch};
use crate::domain::verdict::DeadLetterReason;
use crate::schema_registry::{Format, Look};

/// Bytes of a key as JSON.
const KEY_BYTES_MAX: usize = 64 << 10;

/// A record that can be read.
pub(super) struct Readable<'r> {
    /// None: it is null.
    pub(super) value: Option<Cow<'r, [u8]>>,
    /// The contact that the key names, or why it names none.
    pub(super) named: Result<String, KeyProblem>,
    /// What the value was read by, where that is the registry's.
    pub(super) schema_id: Option<u32>,
}

/// Why a key names nobody.
pub(super) enum KeyProblem {
    /// It is not what the source's `key` says, as the rest of a sentence.
    Form(String),
    /// It can't be decoded.
    Refused(Reject),
}

/// What keeps a record from being read.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The registry has not said yet what this id is.
    Awaited(u32),
    /// It is a dead letter.
    Refused(Reject),
}

/// `look`: what the registry says of an id, where there is one. `bytes_max`: of a value as JSON.
pub(super) fn readable<'r>(
    look: Option<impl Fn(u32) -> Look>,
    form: &KeyForm,
    batch: &'r RecordBatch,
    record: &Record,
    bytes_max: usize,
) -> Result<Readable<'r>, Obstacle> {
    let (key, value) = (batch.key(record), batch.value(record));
    let Some(look) = look else {
        let value = value.map(Cow::Borrowed);
        let named = form.contact_id(key).map_err(KeyProblem::Form);
        return Ok(Readable { value, named, schema_id: None });
    };
    let named = named(&look, form, key)?;
    let headers = Headers::new(record.headers.of(&batch.arena));
    let asked = value.and_then(|value| value_schema_id(value, headers));
    let (Some((_, framed)), Some(id)) = (value.and_then(frame), asked) else {
        return Ok(Readable { value: value.map(Cow::Borrowed), named, schema_id: None });
    };
    let value = match look(id) {
        Look::Awaited => return Err(Obstacle::Awaited(id)),
        Look::Refused(reject) => return Err(Obstacle::Refused(reject)),
        Look::Known(format) => match &*format {
            Format::Json => Cow::Borrowed(framed),
            Format::Avro(schema) => match to_json(schema, framed, bytes_max) {
                Ok(json) => Cow::Owned(json),
                Err(error) => return Err(Obstacle::Refused(refused("value", id, &error))),
            },
        },
    };
    Ok(Readable { value: Some(value), named, schema_id: Some(id) })
}

/// Whom the key names. One that can't be read names nobody, which is no trouble where the value does.
fn named(
    look: impl Fn(u32) -> Look,
    form: &KeyForm,
    key: Option<&[u8]>,
) -> Result<Result<String, KeyProblem>, Obstacle> {
    let contact_id = |key| form.contact_id(key).map_err(KeyProblem::Form);
    // A text is the id as it stands, whatever its bytes look like.
    let asked = key.filter(|_| *form != KeyForm::Text).and_then(key_schema_id);
    let (Some((_, framed)), Some(id)) = (key.and_then(frame), asked) else {
        return Ok(contact_id(key));
    };
    match look(id) {
        Look::Awaited => Err(Obstacle::Awaited(id)),
        Look::Refused(Reject { reason, detail, .. }) => {
            Ok(Err(KeyProblem::Refused(Reject::new(reason, format!("the key: {detail}")))))
        }
        Look::Known(format) => match &*format {
            Format::Json => Ok(contact_id(Some(framed))),
            Format::Avro(schema) => match to_json(schema, framed, KEY_BYTES_MAX) {
                Ok(json) => Ok(contact_id(Some(&json))),
                Err(error) => Ok(Err(KeyProblem::Refused(refused("key", id, &error)))),
            },
        },
    }
}

fn refused(what: &str, id: u32, error: &AvroError) -> Reject {
    let reason = match error {
        AvroError::TooDeep => DeadLetterReason::NestingTooDeep,
        AvroError::TooLarge(_) => DeadLetterReason::RecordTooLarge,
        AvroError::Cut
        | AvroError::LeftOver(_)
        | AvroError::NotUtf8
        | AvroError::Number
        | AvroError::Member(_)
        | AvroError::Type => DeadLetterReason::MalformedAvro,
    };
    Reject::new(reason, format!("the {what} is not what schema {id} says: {error}"))
}
