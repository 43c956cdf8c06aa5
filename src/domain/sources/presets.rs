//! Systems whose events are known: what a table of the configuration begins with.

use std::collections::BTreeMap;

use super::text::{FieldText, Ids, SourceText};

/// A system, as it speaks without any setting of its own.
#[derive(Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What its events are, in a sentence.
    pub about: &'static str,
    /// How it signs webhooks.
    pub signature: &'static str,
    /// How its topics' keys are written.
    pub key: &'static str,
    /// Whether each record of its topics is the whole contact.
    pub complete: bool,
    /// What null values on its topics are: `delete`, `ignore`, or `refuse`.
    pub tombstones: &'static str,
    /// What its ids of contacts are.
    pub ids: Ids,
    record: &'static [(&'static str, &'static [&'static str])],
    types: &'static [(&'static str, &'static str)],
    fields: &'static [(&'static str, &'static str)],
}

const CREATED: &str = "contact.created";
const UPDATED: &str = "contact.updated";
const DELETED: &str = "contact.deleted";

/// What columns of tables are mostly called.
const COLUMNS: &[(&str, &str)] = &[
    ("id", "id"),
    ("firstName", "first_name"),
    ("lastName", "last_name"),
    ("email", "email"),
    ("phone", "phone"),
    ("company", "company"),
    ("title", "title"),
];

/// What holds where a system says nothing else.
const OURS: Preset = Preset {
    name: "contactd",
    about: "contactd's own envelope and names",
    signature: "acme",
    key: "text",
    complete: false,
    tombstones: "refuse",
    ids: Ids::Ours,
    record: &[],
    types: &[],
    fields: &[],
};

/// Every one.
pub const PRESETS: &[Preset] = &[
    OURS,
    Preset {
        name: "acme",
        about: "the Acme CRM: our envelope, fields acme_first_name, acme_last_name and so on",
        fields: &[
            ("firstName", "acme_first_name"),
            ("lastName", "acme_last_name"),
            ("email", "acme_email"),
            ("phone", "acme_phone"),
            ("company", "acme_company"),
            ("title", "acme_title"),
        ],
        ..OURS
    },
    Preset {
        name: "cloudevents",
        about: "CloudEvents 1.0 with types such as com.example.contact.updated.v1",
        signature: "standard",
        types: &[
            ("*.contact.created", CREATED),
            ("*.contact.created.*", CREATED),
            ("*.contact.updated", UPDATED),
            ("*.contact.updated.*", UPDATED),
            ("*.contact.deleted", DELETED),
            ("*.contact.deleted.*", DELETED),
        ],
        ..OURS
    },
    Preset {
        name: "hubspot",
        about: "HubSpot's webhooks: batches of single property changes",
        signature: "hubspot-v3",
        ids: Ids::Own,
        record: &[
            ("type", &["subscriptionType", "objectTypeId"]),
            ("id", &["eventId"]),
            ("time", &["occurredAt"]),
            ("contact", &["objectId"]),
            ("name", &["propertyName"]),
            ("value", &["propertyValue"]),
        ],
        types: &[
            ("contact.creation*", CREATED),
            ("contact.propertyChange*", UPDATED),
            ("contact.deletion*", DELETED),
            ("contact.privacyDeletion*", DELETED),
            // Generic subscriptions; 0-1 are contacts.
            ("object.creation:0-1", CREATED),
            ("object.propertyChange:0-1", UPDATED),
            ("object.deletion:0-1", DELETED),
        ],
        fields: &[
            ("firstName", "firstname"),
            ("lastName", "lastname"),
            ("email", "email"),
            ("phone", "phone"),
            ("company", "company"),
            ("title", "jobtitle"),
        ],
        ..OURS
    },
    Preset {
        name: "salesforce-cdc",
        about: "Salesforce's change events of Contact, as the Streaming and Pub/Sub APIs give them",
        ids: Ids::Own,
        record: &[
            ("inside", &["data.payload", "payload"]),
            ("type", &["ChangeEventHeader.entityName", "ChangeEventHeader.changeType"]),
            ("id", &["ChangeEventHeader.transactionKey", "ChangeEventHeader.sequenceNumber"]),
            ("time", &["ChangeEventHeader.commitTimestamp"]),
            ("version", &["ChangeEventHeader.commitNumber"]),
            ("contact", &["ChangeEventHeader.recordIds"]),
            ("nulls", &["ChangeEventHeader.nulledFields"]),
        ],
        types: &[
            ("Contact:CREATE", CREATED),
            ("Contact:UPDATE", UPDATED),
            ("Contact:DELETE", DELETED),
            ("Contact:UNDELETE", CREATED),
            ("Contact:GAP_DELETE", DELETED),
        ],
        fields: &[
            ("firstName", "Name.FirstName"),
            ("lastName", "Name.LastName"),
            ("email", "Email"),
            ("phone", "Phone"),
            ("title", "Title"),
        ],
        ..OURS
    },
    Preset {
        name: "debezium",
        about: "Debezium's change events of a table, with or without their schema",
        key: "json:$.id",
        tombstones: "ignore",
        record: &[
            ("inside", &["payload"]),
            ("type", &["op"]),
            ("time", &["source.ts_us", "source.ts_ms", "ts_us", "ts_ms"]),
            ("version", &["source.lsn", "source.scn", "source.pos"]),
            ("data", &["after", "before"]),
        ],
        types: &[("c", CREATED), ("r", CREATED), ("u", UPDATED), ("d", DELETED)],
        fields: COLUMNS,
        ..OURS
    },
    Preset {
        name: "connect-json",
        about: "rows as Kafka Connect's JSON converter writes them, with or without their schema",
        key: "json:$.id",
        complete: true,
        tombstones: "delete",
        record: &[("inside", &["payload"]), ("data", &[""])],
        types: &[("", UPDATED)],
        fields: COLUMNS,
        ..OURS
    },
];

impl Preset {
    /// What holds where none is named.
    pub fn ours() -> &'static Self {
        static OUR_OWN: Preset = OURS;
        &OUR_OWN
    }

    /// The one of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// What a table begins with.
    pub fn text(&self) -> SourceText {
        let owned = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        let record = self.record.iter().map(|(key, paths)| {
            ((*key).to_owned(), paths.iter().map(|path| (*path).to_owned()).collect())
        });
        let fields =
            self.fields.iter().map(|(ours, path)| ((*ours).to_owned(), FieldText::at(path)));
        SourceText {
            record: record.collect::<BTreeMap<_, _>>(),
            types: self.types.iter().map(owned).collect(),
            fields: fields.collect(),
            ids: self.ids,
            ..SourceText::default()
        }
    }
}
