//! The catalogue of errors: the only place that knows statuses, stable codes and public texts.

use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::query::{CursorError, QueryError};

/// Declares a code with its status, its text in an answer and its general title.
macro_rules! catalogue {
    ($($(#[doc = $about:literal])+ $code:ident = $status:ident, $text:literal, $title:literal;)+) => {
        /// What went wrong, as a client can rely on it: a code is never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $about])+ $code,)+
        }

        impl Code {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// The stable text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text,)+ }
            }

            /// The status that it is answered with.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)+ }
            }

            /// The same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$code => concat!($($about),+),)+ }
            }
        }
    };
}

catalogue! {
    /// A query parameter that the route does not have.
    UnknownParameter = BAD_REQUEST, "UNKNOWN_PARAMETER", "Unknown query parameter";
    /// A query parameter with a value it can't have.
    InvalidParameter = BAD_REQUEST, "INVALID_PARAMETER", "Invalid query parameter";
    /// A path that does not decode.
    InvalidPath = BAD_REQUEST, "INVALID_PATH", "Invalid path";
    /// A header that can't be understood.
    InvalidHeader = BAD_REQUEST, "INVALID_HEADER", "Invalid header";
    /// A body that ended early or broke its framing.
    InvalidBody = BAD_REQUEST, "INVALID_BODY", "Invalid body";
    /// A cursor that is none of this query.
    InvalidCursor = BAD_REQUEST, "INVALID_CURSOR", "Invalid cursor";
    /// Neither token nor key, or none that can be read.
    AuthenticationRequired = UNAUTHORIZED, "AUTHENTICATION_REQUIRED", "Authentication required";
    /// A user name and password that don't fit.
    InvalidCredentials = UNAUTHORIZED, "INVALID_CREDENTIALS", "Invalid credentials";
    /// An access token that is not ours.
    InvalidToken = UNAUTHORIZED, "INVALID_TOKEN", "Invalid token";
    /// A token past its time.
    TokenExpired = UNAUTHORIZED, "TOKEN_EXPIRED", "Token expired";
    /// A token that was revoked, or whose user has changed.
    TokenRevoked = UNAUTHORIZED, "TOKEN_REVOKED", "Token revoked";
    /// An API key that is unknown or past its time.
    InvalidApiKey = UNAUTHORIZED, "INVALID_API_KEY", "Invalid API key";
    /// A refresh token that is not current.
    InvalidRefreshToken = UNAUTHORIZED, "INVALID_REFRESH_TOKEN", "Invalid refresh token";
    /// The roles don't reach.
    Forbidden = FORBIDDEN, "FORBIDDEN", "Forbidden";
    /// The route is not for the client's address.
    AddressNotAllowed = FORBIDDEN, "ADDRESS_NOT_ALLOWED", "Address not allowed";
    /// A webhook whose signature is missing or does not fit.
    InvalidSignature = UNAUTHORIZED, "INVALID_SIGNATURE", "Invalid signature";
    /// A webhook signed too long ago, or ahead of our clock.
    TimestampOutOfWindow = UNAUTHORIZED, "TIMESTAMP_OUT_OF_WINDOW", "Timestamp out of window";
    /// No such route.
    RouteNotFound = NOT_FOUND, "ROUTE_NOT_FOUND", "No such resource";
    /// No such sign-in.
    SessionNotFound = NOT_FOUND, "SESSION_NOT_FOUND", "No such sign-in";
    /// No such API key.
    KeyNotFound = NOT_FOUND, "KEY_NOT_FOUND", "No such API key";
    /// No such user in this instance's file.
    UserNotFound = NOT_FOUND, "USER_NOT_FOUND", "No such user";
    /// No such contact, or it is deleted.
    ContactNotFound = NOT_FOUND, "CONTACT_NOT_FOUND", "No such contact";
    /// No such webhook source, or it has no secret.
    UnknownSource = NOT_FOUND, "UNKNOWN_SOURCE", "No such webhook source";
    /// No such simulated webhook, or not any more, or another instance's.
    SimulatedWebhookNotFound = NOT_FOUND, "SIMULATED_WEBHOOK_NOT_FOUND", "No such simulated webhook";
    /// The contact has no such version yet.
    VersionNotFound = NOT_FOUND, "VERSION_NOT_FOUND", "No such version";
    /// Nothing is known of the event.
    EventNotFound = NOT_FOUND, "EVENT_NOT_FOUND", "No such event";
    /// No such dead letter.
    DeadLetterNotFound = NOT_FOUND, "DEAD_LETTER_NOT_FOUND", "No such dead letter";
    /// No such merge.
    MergeNotFound = NOT_FOUND, "MERGE_NOT_FOUND", "No such merge";
    /// No such redrive.
    RedriveNotFound = NOT_FOUND, "REDRIVE_NOT_FOUND", "No such redrive";
    /// No such follower here.
    FollowerNotFound = NOT_FOUND, "FOLLOWER_NOT_FOUND", "No such follower";
    /// No such change is parked.
    ParkedChangeNotFound = NOT_FOUND, "PARKED_CHANGE_NOT_FOUND", "No such parked change";
    /// No such subscription.
    SubscriptionNotFound = NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", "No such subscription";
    /// No message of that id is the subscription's, or the journal no longer has what it told.
    DeliveryNotFound = NOT_FOUND, "DELIVERY_NOT_FOUND", "No such delivery";
    /// No such payment.
    PaymentNotFound = NOT_FOUND, "PAYMENT_NOT_FOUND", "No such payment";
    /// No such import.
    ImportNotFound = NOT_FOUND, "IMPORT_NOT_FOUND", "No such import";
    /// The route has other methods.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Method not allowed";
    /// The client accepts no form that there is.
    NotAcceptable = NOT_ACCEPTABLE, "NOT_ACCEPTABLE", "Not acceptable";
    /// The client was too slow.
    RequestTimeout = REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "Request timeout";
    /// The contact that is to be made is there.
    ContactExists = CONFLICT, "CONTACT_EXISTS", "The contact exists";
    /// The contact is deleted, and an upsert does not take that back.
    ContactDeleted = CONFLICT, "CONTACT_DELETED", "The contact is deleted";
    /// The contact is being merged into another.
    ContactMerging = CONFLICT, "CONTACT_MERGING", "The contact is being merged";
    /// A source's id is tied to another contact.
    ExternalIdTaken = CONFLICT, "EXTERNAL_ID_TAKEN", "The id is another contact's";
    /// Newer events say otherwise.
    Superseded = CONFLICT, "SUPERSEDED", "Superseded by newer events";
    /// The same request is under way.
    RequestInFlight = CONFLICT, "REQUEST_IN_FLIGHT", "The same request is under way";
    /// The dead letter is none that can be redriven.
    NotRedrivable = CONFLICT, "NOT_REDRIVABLE", "Not redrivable";
    /// Other rules than those that were meant.
    RulesDiffer = CONFLICT, "RULES_DIFFER", "Other rules";
    /// There is a key of that name, it stands in the file of users, or there are as many as may be.
    KeyConflict = CONFLICT, "KEY_CONFLICT", "Not possible for this API key";
    /// The configuration can't be read again in this process.
    ReloadUnavailable = CONFLICT, "RELOAD_UNAVAILABLE", "No configuration to read again";
    /// The configuration names no directory for backups.
    BackupsOff = CONFLICT, "BACKUPS_OFF", "No backups are kept here";
    /// A backup is being made or handed out, and one is at a time.
    BackupUnderWay = CONFLICT, "BACKUP_UNDER_WAY", "A backup is under way";
    /// Too many redrives are under way.
    TooManyRedrives = CONFLICT, "TOO_MANY_REDRIVES", "Too many redrives";
    /// The follower has not started, or nothing waits that could be skipped, or too much was redriven.
    FollowerConflict = CONFLICT, "FOLLOWER_CONFLICT", "Not possible for this follower now";
    /// The subscription is not in the state for this, or there are as many as may be.
    SubscriptionConflict = CONFLICT, "SUBSCRIPTION_CONFLICT", "Not possible for this subscription now";
    /// The import is not in the state for this.
    ImportConflict = CONFLICT, "IMPORT_CONFLICT", "Not possible for this import now";
    /// The import's file is another instance's, or was deleted.
    ImportGone = GONE, "IMPORT_GONE", "The import's file is gone";
    /// The payment is not in the state for this, or several contacts have one of its id.
    PaymentConflict = CONFLICT, "PAYMENT_CONFLICT", "Not possible for this payment now";
    /// A position of another log, or one that the journal does not reach back to.
    PositionGone = GONE, "POSITION_GONE", "Position gone";
    /// The journal does not reach back to that time or version, or the contact was erased since; `details` says how far it reaches.
    HistoryGone = GONE, "HISTORY_GONE", "History gone";
    /// The contact is not in the state that If-Match names, or there although it must be new.
    PreconditionFailed = PRECONDITION_FAILED, "PRECONDITION_FAILED", "Precondition failed";
    /// A change without If-Match, where that is required.
    PreconditionRequired = PRECONDITION_REQUIRED, "PRECONDITION_REQUIRED", "Precondition required";
    /// Too many bytes in the body.
    BodyTooLarge = PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "Body too large";
    /// More events than one request may carry.
    TooManyEvents = PAYLOAD_TOO_LARGE, "TOO_MANY_EVENTS", "Too many events";
    /// An event that can't be applied.
    EventRejected = UNPROCESSABLE_ENTITY, "EVENT_REJECTED", "Event rejected";
    /// A file that can't be imported: no contacts' file, or of columns that nobody knows.
    ImportUnreadable = UNPROCESSABLE_ENTITY, "IMPORT_UNREADABLE", "The file can't be imported";
    /// Too long a path and query.
    UriTooLong = URI_TOO_LONG, "URI_TOO_LONG", "URI too long";
    /// A body of another kind.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type";
    /// The configuration, read again, can't be run by.
    ConfigurationInvalid = UNPROCESSABLE_ENTITY, "CONFIGURATION_INVALID", "Invalid configuration";
    /// Fields that can't be what they are.
    ValidationFailed = UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "Validation failed";
    /// The contact would outgrow its limit.
    ContactTooLarge = UNPROCESSABLE_ENTITY, "CONTACT_TOO_LARGE", "Contact too large";
    /// Nothing may be sent there.
    TargetNotAllowed = UNPROCESSABLE_ENTITY, "TARGET_NOT_ALLOWED", "Target not allowed";
    /// More than is left of the payment.
    RefundTooLarge = UNPROCESSABLE_ENTITY, "REFUND_TOO_LARGE", "Refund too large";
    /// The key was used for another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key reused";
    /// Too many bytes in the headers.
    HeadersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", "Headers too large";
    /// The client asks too often.
    RateLimited = TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many requests";
    /// Our fault; the log says more.
    Internal = INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Internal error";
    /// A write that came round too often between systems that tell each other.
    LoopDetected = LOOP_DETECTED, "LOOP_DETECTED", "Loop detected";
    /// A body in a form that we don't read.
    UnsupportedTransferEncoding = NOT_IMPLEMENTED, "UNSUPPORTED_TRANSFER_ENCODING", "Unsupported transfer encoding";
    /// Acme did not do what it was asked for; `details` names its status and code.
    AcmeFailed = BAD_GATEWAY, "ACME_FAILED", "Acme failed";
    /// Acme did not answer in time.
    AcmeTimeout = GATEWAY_TIMEOUT, "ACME_TIMEOUT", "Acme did not answer in time";
    /// The payment gateway did not answer in time.
    GatewayTimeout = GATEWAY_TIMEOUT, "GATEWAY_TIMEOUT", "The gateway did not answer in time";
    /// Sign-ins can't be kept, as the log can't be written.
    SessionsUnavailable = SERVICE_UNAVAILABLE, "SESSIONS_UNAVAILABLE", "Sign-ins unavailable";
    /// The store is being opened.
    NotReady = SERVICE_UNAVAILABLE, "NOT_READY", "Not ready";
    /// Neither the log nor the outbox takes events now.
    IntakeUnavailable = SERVICE_UNAVAILABLE, "INTAKE_UNAVAILABLE", "Events can't be kept now";
    /// Too many requests at once.
    Overloaded = SERVICE_UNAVAILABLE, "OVERLOADED", "Overloaded";
    /// The answer took too long.
    TookTooLong = SERVICE_UNAVAILABLE, "TOOK_TOO_LONG", "Took too long";
    /// The contact log does not take writes now.
    WriteUnavailable = SERVICE_UNAVAILABLE, "WRITE_UNAVAILABLE", "Writes can't be kept now";
    /// Others change the contact all the time.
    Contended = SERVICE_UNAVAILABLE, "CONTENDED", "Changed by others all the time";
    /// Too many simulated webhooks wait.
    SimulatorBusy = SERVICE_UNAVAILABLE, "SIMULATOR_BUSY", "Too many simulated webhooks wait";
    /// A position that is not reached yet.
    PositionNotReached = SERVICE_UNAVAILABLE, "POSITION_NOT_REACHED", "Position not reached yet";
}

impl Code {
    /// The class of codes with one status.
    pub fn kind(self) -> &'static str {
        match self.status() {
            StatusCode::BAD_REQUEST => "BAD_REQUEST",
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "UNSUPPORTED_MEDIA_TYPE",
            StatusCode::UNPROCESSABLE_ENTITY => "VALIDATION_ERROR",
            StatusCode::FORBIDDEN => "FORBIDDEN",
            StatusCode::NOT_FOUND => "NOT_FOUND",
            StatusCode::CONFLICT => "CONFLICT",
            StatusCode::PRECONDITION_FAILED => "PRECONDITION_FAILED",
            StatusCode::PRECONDITION_REQUIRED => "PRECONDITION_REQUIRED",
            StatusCode::METHOD_NOT_ALLOWED => "METHOD_NOT_ALLOWED",
            StatusCode::NOT_ACCEPTABLE => "NOT_ACCEPTABLE",
            StatusCode::REQUEST_TIMEOUT => "TIMEOUT",
            StatusCode::GONE => "GONE",
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "TOO_LARGE",
            StatusCode::TOO_MANY_REQUESTS => "RATE_LIMITED",
            StatusCode::NOT_IMPLEMENTED => "NOT_IMPLEMENTED",
            StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
            StatusCode::LOOP_DETECTED => "LOOP_DETECTED",
            StatusCode::BAD_GATEWAY => "BAD_GATEWAY",
            StatusCode::GATEWAY_TIMEOUT => "GATEWAY_TIMEOUT",
            _ => "INTERNAL_ERROR",
        }
    }

    /// Seconds after which trying again makes sense, where nothing says more.
    pub fn retry_after_seconds(self) -> Option<u64> {
        matches!(self.status().as_u16(), 429 | 503).then_some(1)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An answer that is an error: what the client is told, and apart from it what the log is.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: Code,
    message: String,
    details: Option<Value>,
    retry_after_seconds: Option<u64>,
    /// `WWW-Authenticate`.
    challenge: Option<HeaderValue>,
    /// Never leaves the process but in a log line.
    internal: Option<String>,
}

impl ApiError {
    /// With a text for people.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
            retry_after_seconds: None,
            challenge: None,
            internal: None,
        }
    }

    /// Our fault: the client is told nothing, the log line everything.
    pub fn internal(internal: impl Into<String>) -> Self {
        Self::new(Code::Internal, "the request failed for a reason of our own")
            .with_internal(internal)
    }

    /// With a text that only the log gets.
    #[must_use]
    pub fn with_internal(mut self, internal: impl Into<String>) -> Self {
        self.internal = Some(internal.into());
        self
    }

    /// With facts for programs.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Of 429: the limit that was met.
    pub(crate) fn limited_class(&self) -> &str {
        let limit = self.details.as_ref().and_then(|details| details.get("limit"));
        limit.and_then(Value::as_str).unwrap_or_default()
    }

    /// With the seconds after which trying again makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// With how to authenticate (RFC 6750); ASCII without line breaks.
    #[must_use]
    pub fn with_challenge(mut self, challenge: impl AsRef<str>) -> Self {
        self.challenge = HeaderValue::from_str(challenge.as_ref()).ok();
        self
    }

    /// How to authenticate.
    pub(crate) fn challenge(&self) -> Option<&HeaderValue> {
        self.challenge.as_ref()
    }

    /// Seconds after which trying again makes sense.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds.or(self.code.retry_after_seconds())
    }

    /// Which.
    pub fn code(&self) -> Code {
        self.code
    }

    /// As one of several results: what differs by request stays out.
    pub(crate) fn in_a_list(self) -> ListedError {
        ListedError { code: self.code.as_str(), message: self.message, details: self.details }
    }

    /// The text that only the log gets.
    pub(crate) fn internal_text(&self) -> &str {
        self.internal.as_deref().unwrap_or(&self.message)
    }

    /// The body: our format, or RFC 9457 with ours as an extension member.
    pub(crate) fn to_json(&self, request_id: &str, as_problem: bool) -> Vec<u8> {
        let timestamp = super::timestamp::rfc3339_ms(SystemTime::now());
        let status = self.code.status().as_u16();
        let error = ErrorBody {
            message: &self.message,
            kind: self.code.kind(),
            status,
            timestamp: &timestamp,
            code: self.code,
            details: self.details.as_ref(),
            request_id,
        };
        let text = if as_problem {
            serde_json::to_vec(&Problem {
                kind: "about:blank",
                title: self.code.title(),
                status,
                detail: &self.message,
                code: self.code,
                request_id,
                error,
            })
        } else {
            serde_json::to_vec(&Envelope { error })
        };
        text.unwrap_or_default()
    }
}

/// An answer that is an error.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiError)]
pub(crate) struct Envelope<'a> {
    error: ErrorBody<'a>,
}

/// What went wrong, for people and for programs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ErrorBody<'a> {
    /// For people; may change.
    message: &'a str,
    /// The class of codes with one status.
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    #[schema(format = DateTime)]
    timestamp: &'a str,
    code: Code,
    /// Facts that belong to the code.
    #[schema(required = true, value_type = Option<BTreeMap<String, Value>>)]
    details: Option<&'a Value>,
    /// As in `X-Request-Id`: what to name when asking for help.
    request_id: &'a str,
}

/// The same error as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    detail: &'a str,
    code: Code,
    request_id: &'a str,
    error: ErrorBody<'a>,
}

/// Why an operation was not done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchError)]
pub(crate) struct ListedError {
    code: &'static str,
    pub(crate) message: String,
    #[schema(required = true, value_type = Option<BTreeMap<String, Value>>)]
    details: Option<Value>,
}

impl IntoResponse for ApiError {
    /// Status only: the edge, which knows what the client accepts, writes the body.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::Cursor(
                CursorError::Malformed | CursorError::Version | CursorError::AnotherQuery,
            ) => Self::new(Code::InvalidCursor, error.to_string()),
            QueryError::AnotherLog => Self::new(
                Code::PositionGone,
                "the Position belongs to another log than the one that is followed now",
            ),
            QueryError::NotInTime { .. } => Self::new(
                Code::PositionNotReached,
                "what the Position speaks of is not applied yet; try again",
            ),
            QueryError::Corrupt { .. } | QueryError::Store(_) => Self::internal(error.to_string()),
        }
    }
}
