//! The seam every package format stands behind.
//!
//! A format translates one ecosystem's wire protocol into Ingot's words and back. It decides what
//! a request *means* ([`Format::parse`]), what an upload *contains* ([`Format::unpack`]), whether
//! a draft is *whole* ([`Format::judge`]) and what a document *says* ([`Format::render`]). It does
//! no I/O, sees no token, and knows no channels beyond the view it is asked to render: a label
//! that is a channel's name is made a promotion by the registry.
//!
//! Everything else is the server's and the registry's, once, for all formats: tokens, limits,
//! hashing, announced digests, ranges, conditional requests, redirects, errors, durability.

use std::io::{Read, Seek, Write};

use serde_json::Value;

use crate::digest::{Digest, HashKind, HashSet};
use crate::names::{Coordinate, FilePath, PackageName, Version, ViewName};
use crate::origin::Origin;
use crate::records::{DraftRecord, ReleaseRecord};
use crate::refusal::Refusal;

/// The methods formats know; all others are refused before a format is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD, which is GET without the body.
    Get,
    /// PUT.
    Put,
    /// POST.
    Post,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
}

/// A request under `/{format}/{view}/`, decoded once and free of `.`, `..` and empty segments.
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The project or channel asked.
    pub view: &'a ViewName,
    /// The path after the view, segment by segment. `%2F` is allowed in a segment (npm scopes).
    pub segments: &'a [String],
    /// Whether the path ended in `/`.
    pub directory: bool,
    /// The query's parameters, decoded, in order.
    pub query: &'a [(String, String)],
    /// Looks up a request header by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

impl Request<'_> {
    /// The value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How the clients of a format want to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `application/problem+json` (RFC 9457) with an added `error` member.
    Problem,
    /// One line of text, for clients that show the body to nobody.
    Text,
}

/// Which release of a package a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseRef {
    /// This version and nothing else.
    Version(Version),
    /// A version, an alias, `sha256:<release digest>` or a commit, tried in this order.
    Any(String),
}

/// Which file a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRef {
    /// A file of a release.
    Pinned {
        /// The package.
        package: PackageName,
        /// The release.
        release: ReleaseRef,
        /// The file.
        path: FilePath,
    },
    /// A file of the channel's current release: answered with a redirect to the pinned URL.
    Current {
        /// The package.
        package: PackageName,
        /// The file; none when the release is expected to have just one.
        path: Option<FilePath>,
    },
    /// Any published file with this content.
    Content(Digest),
}

/// A document a format computes. Only the format that made it reads `kind` and `rest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentRef {
    /// The package it is about, where it is about one.
    pub package: Option<PackageName>,
    /// Which document.
    pub kind: &'static str,
    /// What else it depends on: a form, a prefix, a page.
    pub rest: Vec<String>,
}

/// How far an upload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Into the draft only.
    Stage,
    /// Visible at once.
    Publish,
    /// Visible at once, and the release takes no more files.
    PublishAndSeal,
}

/// What an upload is for, told from its head alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The package.
    pub package: PackageName,
    /// The version, where the URL says it.
    pub version: Option<Version>,
    /// The file, where the URL says it.
    pub path: Option<FilePath>,
    /// The checksums, beside sha256, that clients of this format will ask for.
    pub hashes: HashSet,
    /// How far it goes.
    pub intent: Intent,
}

/// What a client asks. Authorisation is one exhaustive match over this, before the body is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// A file.
    Fetch(FileRef),
    /// A checksum of a file or a document, as text. No kind means sha256.
    Checksum {
        /// Of what.
        of: Box<Call>,
        /// Which.
        kind: Option<HashKind>,
    },
    /// A document.
    Render(DocumentRef),
    /// A question with a small body: search, audit.
    Query(DocumentRef),
    /// An upload.
    Submit(Submission),
    /// A change without an upload.
    Act(Action),
    /// Log in: a token as password gives that token back.
    Login,
    /// Who am I?
    Identity,
    /// An answer that depends on nothing.
    Reply(Document),
}

/// What a client changes. Authorisation is one exhaustive match over this, after the body.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The files in the sink become part of a release, as far as `intent` says.
    Stage {
        /// The release.
        at: Coordinate,
        /// How far.
        intent: Intent,
        /// What the content itself says about its origin; what the client said wins.
        origin: Origin,
    },
    /// What this principal has staged for these releases becomes visible.
    Publish {
        /// The package.
        package: PackageName,
        /// The versions the client speaks of; those without a draft are left alone.
        versions: Vec<Version>,
    },
    /// A moving label is put on a release, or taken off.
    Label {
        /// The package.
        package: PackageName,
        /// The label.
        label: String,
        /// The release; none takes the label off.
        version: Option<Version>,
    },
    /// A note for users of a release, such as a deprecation; none clears it.
    Annotate {
        /// The release.
        at: Coordinate,
        /// The note.
        note: Option<String>,
    },
    /// A checksum to compare with what was received.
    Verify {
        /// The release.
        at: Coordinate,
        /// The file.
        path: FilePath,
        /// Which checksum; none means sha256.
        kind: Option<HashKind>,
        /// What the client says it is, lower-case hex.
        expected: String,
    },
    /// Nothing: the client's own idea of a document that Ingot computes itself.
    Nothing,
}

/// A file that an upload contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its name in the release.
    pub path: FilePath,
    /// The media type it will be served with.
    pub media_type: String,
}

/// Where [`Format::unpack`] puts the files it finds. Nothing is visible until the action is done.
pub trait FileSink {
    /// The body, as it is, is the file. No byte is copied.
    fn adopt(&mut self, file: NewFile) -> Result<(), Refusal>;
    /// A file decoded out of the body, hashed and spooled while it is written.
    fn create(&mut self, file: NewFile, hashes: HashSet) -> Result<Box<dyn Write + '_>, Refusal>;
}

/// A spooled body.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A draft, as it stands when it is asked to become visible.
pub struct DraftView<'a> {
    /// The release.
    pub at: &'a Coordinate,
    /// What was staged.
    pub draft: &'a DraftRecord,
    /// What is visible already.
    pub published: Option<&'a ReleaseRecord>,
}

/// What a whole draft brings with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publication {
    /// What documents are put together from, kept with the release.
    pub piece: Option<Value>,
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name, ending in `/` for a level below.
    pub name: String,
    /// Length in bytes, for a file.
    pub size: Option<u64>,
    /// When it was published.
    pub at: Option<crate::Timestamp>,
}

/// A computed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Bytes of a media type.
    Bytes {
        /// The media type.
        media_type: &'static str,
        /// The content.
        content: Vec<u8>,
    },
    /// Rows that the server dresses in HTML.
    Listing {
        /// The rows, in order.
        rows: Vec<Row>,
        /// The cursor of the next page.
        next: Option<String>,
    },
}

/// What [`Format::render`] may look at: one view, at one commit.
pub trait View {
    /// The view.
    fn name(&self) -> &ViewName;
    /// Scheme, host and port that URLs in documents start with, without a trailing slash.
    fn base_url(&self) -> &str;
    /// The names of packages with something visible here, in order, after a name; at most `limit`.
    /// Prefix and name are as packages print: `raw:` are all packages of a format, and the page
    /// after `raw:a` begins with what follows it.
    fn packages(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<PackageName>, Refusal>;
    /// The releases of a package visible here, newest first, after a cursor; at most `limit`,
    /// and the cursor of the next page.
    fn releases(
        &self,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<ReleaseRecord>, Option<String>), Refusal>;
    /// One release, if it is visible here.
    fn find_release(&self, at: &Coordinate) -> Result<Option<ReleaseRecord>, Refusal>;
    /// The channel's current release of a package; in the full view none.
    fn find_current(&self, package: &PackageName) -> Result<Option<Version>, Refusal>;
}

/// Translates one ecosystem's protocol into Ingot's words and back. Never does I/O.
pub trait Format: Send + Sync + 'static {
    /// The name in URLs and package names.
    fn name(&self) -> &'static str;
    /// How its clients want to be refused.
    fn dialect(&self) -> Dialect;
    /// What a request means. Never looks at the body.
    fn parse(&self, request: &Request<'_>) -> Result<Call, Refusal>;
    /// What an upload contains: checks it, and hands its files to the sink.
    fn unpack(
        &self,
        what: &Submission,
        body: &mut dyn ReadSeek,
        files: &mut dyn FileSink,
    ) -> Result<Action, Refusal>;
    /// Whether a draft is whole. Pure and quick: it is called inside the committer.
    fn judge(&self, draft: &DraftView<'_>) -> Result<Publication, Refusal>;
    /// What a document says in a view.
    fn render(&self, document: &DocumentRef, view: &dyn View) -> Result<Document, Refusal>;
    /// The path, from the root of the server, of a file in a view: the inverse of `parse`.
    fn locate(&self, view: &ViewName, at: &Coordinate, path: &FilePath) -> String;
}
