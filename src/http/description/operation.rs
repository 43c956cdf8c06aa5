//! One operation as its area describes it.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

use crate::http::exchange::error::Code;

/// Schemas by name, as utoipa collects them.
pub(crate) type Schemas = Vec<(String, RefOr<Schema>)>;

/// What belongs together for a reader; the order is that of the description and of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Auth,
    Contacts,
    Payments,
    Webhooks,
    Simulator,
    DeadLetters,
    Followers,
    Subscriptions,
    Files,
    Operation,
    Documents,
}

impl Tag {
    pub(crate) const ALL: [Self; 11] = [
        Self::Auth,
        Self::Contacts,
        Self::Payments,
        Self::Webhooks,
        Self::Simulator,
        Self::DeadLetters,
        Self::Followers,
        Self::Subscriptions,
        Self::Files,
        Self::Operation,
        Self::Documents,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auth => "Signing in",
            Self::Contacts => "Contacts",
            Self::Payments => "Payments",
            Self::Webhooks => "Webhooks",
            Self::Simulator => "Simulator",
            Self::DeadLetters => "Dead letters",
            Self::Followers => "Followers",
            Self::Subscriptions => "Subscriptions",
            Self::Files => "Files",
            Self::Operation => "Operation",
            Self::Documents => "Documents",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Auth => "Access tokens for users. Programs have an API key instead.",
            Self::Contacts => "Contacts, and what happened to them.",
            Self::Payments => "Payments of contacts, and what they come to.",
            Self::Webhooks => "Signed events in.",
            Self::Simulator => "Webhooks as Acme sends them, made here.",
            Self::DeadLetters => {
                "Records that could not be applied, and sending them through again."
            }
            Self::Followers => "What follows from what was applied, and steering it.",
            Self::Subscriptions => "Signed messages out, to whoever wants to be told of changes.",
            Self::Files => "Files of contacts in.",
            Self::Operation => "How the instance is: for orchestrators, monitoring and people.",
            Self::Documents => "This description, for programs and for people.",
        }
    }
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter of the path, the query or the head.
pub(crate) struct Param {
    pub(crate) place: Place,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) schema: Schema,
    /// May name variables of the collection: `{{contactId}}`.
    pub(crate) example: Value,
    /// Whether the example request has it.
    pub(crate) is_sent: bool,
    pub(crate) is_required: bool,
}

impl Param {
    pub(crate) fn path(name: &'static str, example: &str, about: &'static str) -> Self {
        let schema = text().min_length(Some(1)).into();
        Self { is_required: true, ..Self::new(Place::Path, name, about, schema, example.into()) }
            .sent()
    }

    pub(crate) fn query(
        name: &'static str,
        schema: impl Into<Schema>,
        example: impl Into<Value>,
        about: &'static str,
    ) -> Self {
        Self::new(Place::Query, name, about, schema.into(), example.into())
    }

    pub(crate) fn header(name: &'static str, example: &str, about: &'static str) -> Self {
        Self::new(Place::Header, name, about, text().into(), example.into())
    }

    fn new(
        place: Place,
        name: &'static str,
        about: &'static str,
        schema: Schema,
        example: Value,
    ) -> Self {
        Self { place, name, about, schema, example, is_sent: false, is_required: false }
    }

    /// Only texts of this pattern.
    pub(crate) fn matching(mut self, pattern: &str) -> Self {
        self.schema = text().pattern(Some(pattern)).into();
        self
    }

    /// A request without it is refused.
    pub(crate) fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// The example request has it.
    pub(crate) fn sent(mut self) -> Self {
        self.is_sent = true;
        self
    }
}

pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(crate) fn choice(choices: &[&'static str]) -> ObjectBuilder {
    text().enum_values(Some(choices.iter().copied()))
}

/// Several of these: the parameter comes once for each.
pub(crate) fn several(item: ObjectBuilder, max: usize) -> ArrayBuilder {
    ArrayBuilder::new().items(item).min_items(Some(1)).max_items(Some(max))
}

pub(crate) fn whole_number(min: u64, max: u64) -> ObjectBuilder {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let min = i64::try_from(min).unwrap_or(0);
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max))
}

pub(crate) fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into()))
}

/// Which page of a list.
pub(crate) fn page_params() -> Vec<Param> {
    let limit = whole_number(1, 200).default(Some(50.into()));
    let cursor = text().pattern(Some("^[A-Za-z0-9_-]+$"));
    vec![
        Param::query("limit", limit, 50, "Entries on a page.").sent(),
        Param::query(
            "cursor",
            cursor,
            "AQAv_OQQOKibugAIAAABof49HdRHwM1WCRmr4Q",
            "As `meta.nextCursor` or `meta.prevCursor` of an earlier page gave it, with the same order \
             and filters. Opaque.",
        ),
    ]
}

/// The headers that answers can have; what each means stands in `headers.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    RequestId,
    ETag,
    Position,
    Link,
    Location,
    MergeId,
    RetryAfter,
    RateLimit,
    RateLimitPolicy,
    WwwAuthenticate,
}

/// What is sent or answered, in one media type.
pub(crate) struct Content {
    pub(crate) media: &'static str,
    /// None: text without a form, as a stream is.
    pub(crate) schema: Option<RefOr<Schema>>,
    pub(crate) example: Option<Value>,
}

/// One way to be answered that is no error.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    /// One a media type.
    pub(crate) content: Vec<Content>,
    pub(crate) headers: Vec<Header>,
    schemas: Schemas,
}

impl Answer {
    /// With a body of the type's schema.
    pub(crate) fn json<T: ToSchema>(status: u16, about: &'static str, example: Value) -> Self {
        let mut answer = Self::empty(status, about);
        let schema = Some(reference::<T>(&mut answer.schemas));
        let example = Some(example);
        answer.content.push(Content { media: "application/json", schema, example });
        answer
    }

    /// The same form in another media type.
    pub(crate) fn in_media(mut self, media: &'static str) -> Self {
        self.content.iter_mut().for_each(|content| content.media = media);
        self
    }

    /// With a body of text in another media type.
    pub(crate) fn text(
        status: u16,
        about: &'static str,
        media: &'static str,
        example: Option<&str>,
    ) -> Self {
        Self::empty(status, about).or_text(media, example)
    }

    /// Or with a body of text in yet another media type.
    pub(crate) fn or_text(mut self, media: &'static str, example: Option<&str>) -> Self {
        let schema = (media != "text/event-stream").then(|| RefOr::T(text().into()));
        self.content.push(Content { media, schema, example: example.map(Value::from) });
        self
    }

    /// Without a body.
    pub(crate) fn empty(status: u16, about: &'static str) -> Self {
        Self { status, about, content: Vec::new(), headers: Vec::new(), schemas: Vec::new() }
    }

    pub(crate) fn with(mut self, headers: &[Header]) -> Self {
        self.headers.extend_from_slice(headers);
        self
    }
}

fn reference<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

/// When the collection sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Where it stands in its area.
    InOrder,
    /// After all others: what ends the session, say.
    Last,
    /// Not at all: what it is about can't be made by other requests.
    Never,
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    /// A member of the answer's body, as a path of names: `data.0.id`.
    Body(&'static str),
    /// A header of the answer.
    Header(&'static str),
}

/// What an endpoint's row does not say: names, parameters, bodies, answers.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) tag: Tag,
    pub(crate) summary: &'static str,
    pub(crate) about: &'static str,
    pub(crate) params: Vec<Param>,
    pub(crate) body: Option<Content>,
    /// Whether the body goes to the handler as it comes, however long it is.
    pub(crate) streams_body: bool,
    /// The first is what the example request is answered.
    pub(crate) answers: Vec<Answer>,
    pub(crate) codes: Vec<Code>,
    pub(crate) turn: Turn,
    /// Variables of the collection that the answer sets.
    pub(crate) keeps: Vec<(&'static str, Kept)>,
    schemas: Schemas,
}

impl Operation {
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            tag: Tag::Operation,
            summary,
            about: "",
            params: Vec::new(),
            body: None,
            streams_body: false,
            answers: Vec::new(),
            codes: Vec::new(),
            turn: Turn::InOrder,
            keeps: Vec::new(),
            schemas: Vec::new(),
        }
    }

    pub(crate) fn of(mut self, tag: Tag) -> Self {
        self.tag = tag;
        self
    }

    pub(crate) fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    pub(crate) fn param(mut self, param: Param) -> Self {
        self.params.push(param);
        self
    }

    pub(crate) fn params(mut self, params: Vec<Param>) -> Self {
        self.params.extend(params);
        self
    }

    /// A JSON body of the type's schema.
    pub(crate) fn body<T: ToSchema>(self, example: Value) -> Self {
        self.body_as::<T>("application/json", example)
    }

    /// A JSON body under another name.
    pub(crate) fn body_as<T: ToSchema>(mut self, media: &'static str, example: Value) -> Self {
        let schema = Some(reference::<T>(&mut self.schemas));
        self.body = Some(Content { media, schema, example: Some(example) });
        self
    }

    /// A body of text that is not read before the handler does.
    pub(crate) fn body_stream(mut self, media: &'static str, example: &str) -> Self {
        let schema = Some(RefOr::T(text().into()));
        self.body = Some(Content { media, schema, example: Some(example.into()) });
        self.streams_body = true;
        self
    }

    /// The first is what the example request is answered.
    pub(crate) fn answers(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// Besides what every operation of its kind can fail with.
    pub(crate) fn fails(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// Sets a variable of the collection.
    pub(crate) fn keeps(mut self, variable: &'static str, kept: Kept) -> Self {
        self.keeps.push((variable, kept));
        self
    }

    /// The collection sends it after all others.
    pub(crate) fn last(mut self) -> Self {
        self.turn = Turn::Last;
        self
    }

    /// The collection does not send it.
    pub(crate) fn not_sent(mut self) -> Self {
        self.turn = Turn::Never;
        self
    }

    /// What every read of the store has: it waits for a `Position`, and is JSON only.
    pub(crate) fn reads(self) -> Self {
        self.param(Param::header(
            "Position",
            "{{position}}",
            "As an earlier answer gave it: the read waits until that is applied here, for some seconds \
             at most.",
        ))
        .fails(&[
            Code::InvalidHeader,
            Code::NotAcceptable,
            Code::PositionGone,
            Code::PositionNotReached,
            Code::NotReady,
        ])
    }

    /// Whether its requests may have this header, for a reason of its own.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.params.iter().any(|param| param.place == Place::Header && param.name == name)
    }

    /// All schemas that it names.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = &(String, RefOr<Schema>)> {
        self.schemas.iter().chain(self.answers.iter().flat_map(|answer| &answer.schemas))
    }
}
