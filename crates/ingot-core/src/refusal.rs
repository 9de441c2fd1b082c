//! Why something was refused: a stable code, and words that say what to do next.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $title:literal;)*) => {
        /// The stable name of a refusal. The server maps each to one HTTP status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }
        impl Code {
            /// Every code, for tables and tests.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];
            /// The code as clients see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
            /// A short sentence, the same for every refusal with this code.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request itself cannot be understood.
    BadRequest = "bad_request", "The request cannot be understood";
    /// The path is not one that any client needs to send.
    BadPath = "bad_path", "The path is not acceptable";
    /// The bytes are not those whose digest was announced.
    DigestMismatch = "digest_mismatch", "The content does not match its digest";
    /// Who is asking is not known.
    Unauthenticated = "unauthenticated", "A valid token is needed";
    /// The token lacks the right.
    Forbidden = "forbidden", "The token does not give this right";
    /// The release was taken out of service.
    Blocked = "blocked", "The release is blocked";
    /// There is nothing there, or nothing this token may see.
    NotFound = "not_found", "Nothing was found here";
    /// The method has no meaning on this path.
    MethodNotAllowed = "method_not_allowed", "The method is not allowed here";
    /// The client stopped sending.
    Timeout = "timeout", "The request took too long";
    /// Other bytes are already published under this name.
    ContentConflict = "content_conflict", "Other content is already published under this name";
    /// The release comes from another origin.
    OriginConflict = "origin_conflict", "The release has another origin";
    /// The version was used before and can never be used again.
    Retired = "retired", "The version is retired";
    /// The release takes no more files.
    Sealed = "sealed", "The release is sealed";
    /// Differs only by case from a name that is taken.
    CaseConflict = "case_conflict", "The name differs only by case from one that is taken";
    /// The reference fits several releases.
    Ambiguous = "ambiguous", "The reference fits several releases, or none";
    /// The release must be promoted to the channel before, first.
    NotInFrom = "not_in_from", "The release is not in the channel this one is fed from";
    /// The package is held in the channel.
    Held = "held", "The package is held in this channel";
    /// The release is the current one and so cannot be revoked.
    IsCurrent = "is_current", "The release is current in this channel";
    /// There is nothing to roll back to.
    NoPrevious = "no_previous", "There is no earlier release to roll back to";
    /// The release is not admitted to the channel.
    NotAdmitted = "not_admitted", "The release is not admitted to this channel";
    /// The alias names another release.
    AliasTaken = "alias_taken", "The alias already names another release";
    /// The channel cannot be changed that way while in use.
    ChannelInUse = "channel_in_use", "The channel is in use";
    /// The draft is not complete.
    DraftIncomplete = "draft_incomplete", "The draft is not complete";
    /// The idempotency key was used for another request.
    KeyReused = "idempotency_key_reused", "The idempotency key was used for another request";
    /// The channel moved since the caller looked.
    PreconditionFailed = "precondition_failed", "The state is not the one the request names";
    /// More bytes than allowed.
    TooLarge = "too_large", "The request is too large";
    /// A length is needed before the body.
    LengthRequired = "length_required", "A content length is needed";
    /// The URI is too long.
    UriTooLong = "uri_too_long", "The URI is too long";
    /// The body is of a kind not taken here.
    UnsupportedMedia = "unsupported_media_type", "The body is of a kind not taken here";
    /// The range lies outside the file.
    RangeNotSatisfiable = "range_not_satisfiable", "The range lies outside the file";
    /// The name, value or content breaks a rule.
    Invalid = "invalid", "The request breaks a rule";
    /// The name is kept for Ingot's own use.
    Reserved = "reserved", "The name is reserved";
    /// The release is of a kind that is never promoted.
    NotPromotable = "not_promotable", "The release cannot be promoted";
    /// Too many wrong tokens or requests.
    TooManyRequests = "too_many_requests", "Too many requests";
    /// Too many headers, or too large.
    HeadTooLarge = "head_too_large", "The request head is too large";
    /// Something went wrong inside.
    Internal = "internal", "Something went wrong inside Ingot";
    /// The write may or may not have happened; asking again tells.
    OutcomeUnknown = "outcome_unknown", "It is not known whether the change happened";
    /// The store cannot be reached.
    Unavailable = "unavailable", "The store cannot be reached";
    /// This process has not yet seen the state asked for.
    NotCaughtUp = "not_caught_up", "This replica has not caught up";
    /// The stored bytes are damaged.
    Damaged = "damaged", "The stored content is damaged";
    /// No space is left.
    NoSpace = "no_space", "No space is left for uploads";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: what clients are told, and apart from it what only the operator should read.
#[derive(Clone)]
pub struct Refusal {
    code: Code,
    detail: String,
    members: Map<String, Value>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal with words for the client. No secrets, paths or stored text it could not know.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), members: Map::new(), source: None }
    }
    /// Adds a member to the problem document, such as the candidates to choose from.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }
    /// Adds what the operator should see in the log.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }
    /// What happened and what to do next.
    pub fn detail(&self) -> &str {
        &self.detail
    }
    /// Further members of the problem document.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        Ok(())
    }
}
impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// What a body could not be read for: broken content is the client's, all else is ours. A refusal
/// that travelled through a reader comes out as it went in.
impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput, StorageFull, UnexpectedEof};
        if let Some(refusal) = error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>()) {
            return refusal.clone();
        }
        match error.kind() {
            InvalidData | InvalidInput | UnexpectedEof => {
                Refusal::new(Code::Invalid, "the body is damaged or cut short").because(error)
            }
            StorageFull => Refusal::new(Code::NoSpace, "no space is left").because(error),
            _ => Refusal::new(Code::Internal, "the body could not be read").because(error),
        }
    }
}
