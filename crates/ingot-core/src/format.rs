//! The seam every package format stands behind.
//!
//! A format translates one ecosystem's wire protocol into Ingot's words and back. It decides what
//! a request *means* ([`Format::parse`]), what an upload *contains* ([`Format::unpack`]), whether
//! a draft is *whole* ([`Format::judge`]) and what a document *says* ([`Format::render`]). It does
//! no I/O and knows no channels beyond the view it is asked to render: a label that is a channel's
//! name is made a promotion by the registry. It sees a token only where an ecosystem's own login
//! carries one in its body.
//!
//! Everything else is the server's and the registry's, once, for all formats: tokens, limits,
//! hashing, announced digests, content codings of bodies, ranges, conditional requests, redirects,
//! errors, durability. The body of every request is received or drained, whatever the call.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek};

use serde_json::{Map, Value};

use crate::digest::{Digest, HashKind, HashSet};
use crate::event::FileFact;
use crate::names::{Coordinate, FilePath, PackageName, Seq, Version, ViewName};
use crate::origin::Origin;
use crate::records::{DraftRecord, ReleaseRecord};
use crate::refusal::{Code, Refusal};

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

/// How the words of a refusal are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// One line of text, for clients that show the body to nobody. A client that says it accepts
    /// problem documents gets one all the same.
    Text,
}

/// How the clients of a format want to be refused.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// How the words are written.
    pub wording: Wording,
    /// The codes for which these clients know another status than everybody else.
    pub statuses: &'static [(Code, u16)],
    /// Members they look for in a problem document, beside the standard ones.
    pub members: fn(&Refusal) -> Map<String, Value>,
}

impl Dialect {
    /// Problem documents, with the statuses and members of the house.
    pub const PROBLEM: Dialect =
        Dialect { wording: Wording::Problem, statuses: &[], members: |_| Map::new() };
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

/// What the body of a request is: how much of it is taken and how, and which right it needs
/// before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// One file as it is, hashed while it is received. Publish; in the full view only.
    File,
    /// Files packed into something else; only what the sink is given is hashed. Publish; in the
    /// full view only.
    Packed,
    /// A few bytes about releases: a checksum, a label, an index. Publish; in the full view only.
    Statement,
    /// A few bytes that ask. Read.
    Question,
    /// A few bytes with a token in them, never logged nor kept. No right; the answer tells.
    Credential,
}

/// What the body of a request is for, told from its head alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Which request. Only the format that made it reads `kind` and `rest`.
    pub kind: &'static str,
    /// What else its head said: a label, an algorithm.
    pub rest: Vec<String>,
    /// What its body is.
    pub body: Body,
    /// The package, where the URL says it. What the action then names is authorised again.
    pub package: Option<PackageName>,
    /// The version, where the URL says it.
    pub version: Option<Version>,
    /// The file, where the URL says it.
    pub path: Option<FilePath>,
    /// The checksums, beside sha256, that are made of each file in it.
    pub hashes: HashSet,
    /// How far it goes.
    pub intent: Intent,
}

/// What can be read: the two things that checksums are asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File(FileRef),
    /// A document.
    Document(DocumentRef),
}

/// What a client asks. Authorisation is one exhaustive match over this, before the body is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// A file.
    Fetch(FileRef),
    /// A document.
    Render(DocumentRef),
    /// A checksum of a file or a document, as text. No kind means sha256.
    Checksum {
        /// Of what.
        of: Target,
        /// Which.
        kind: Option<HashKind>,
    },
    /// Something whose meaning is in the body: an upload, a statement, a question, a login.
    Submit(Submission),
    /// A change that the head says in full. A body, if there is one, is of no interest.
    Act(Action),
    /// Who am I?
    Identity,
    /// An answer that depends on nothing, whether anything is there or not.
    Reply(Document),
}

/// A token that came in a body. Prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name that came with it; any will do.
    pub user: String,
    /// The token.
    pub token: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

/// What a client wants, once the body was read. Authorisation is one exhaustive match over this.
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
        /// Labels to put on the release with it: all of it is done, or nothing.
        labels: Vec<String>,
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
    /// Notes for the users of releases, such as a deprecation. Those that say what is said already,
    /// and those on releases that do not exist, are left alone.
    Annotate {
        /// The package.
        package: PackageName,
        /// The notes; none clears one.
        notes: Vec<(Version, Option<String>)>,
    },
    /// A checksum to compare with what was received. One that differs is refused *and* kept with
    /// the draft, which is not whole until that file comes again; one that comes before its file is
    /// kept until it can be compared. One that fits leaves no trace.
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
    /// A document that depends on what was asked in the body.
    Ask(DocumentRef),
    /// A login: a token as password gives that token back.
    Login(Credential),
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
    /// What documents are put together from and `judge` decides by, kept with the file.
    pub piece: Option<Value>,
}

/// Where [`Format::unpack`] puts the files it finds. Nothing is visible until the action is done.
pub trait FileSink {
    /// The body, as it is, is the file. No byte is copied.
    fn adopt(&mut self, file: NewFile) -> Result<FileFact, Refusal>;
    /// A file decoded out of the body, hashed and spooled while it is read to its end. What comes
    /// back is compared with whatever the client claimed.
    fn create(&mut self, file: NewFile, content: &mut dyn Read) -> Result<FileFact, Refusal>;
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

/// What the rules must know of a release, kept with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Why it can never be promoted, if so: a build that its clients take for a moving one.
    pub unpromotable: Option<String>,
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

/// What was done, for the answer.
#[derive(Debug)]
pub enum Done<'a> {
    /// A change.
    Changed {
        /// Which.
        action: &'a Action,
        /// Whether it was made now; else it was so already.
        fresh: bool,
    },
    /// A login with a good token.
    LoggedIn(&'a Credential),
    /// The name of who asks.
    Identity(&'a str),
}

/// What a view shows of a package as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageFacts {
    /// The last commit that changed anything of it.
    pub revision: Seq,
    /// When what this view shows of it last changed: a publication here, an admission there.
    pub changed_at: crate::Timestamp,
    /// The channel's current release; in the full view none.
    pub current: Option<Version>,
    /// The labels whose release is visible here. In the full view each channel is one.
    pub labels: BTreeMap<String, Version>,
}

/// What [`Format::render`] may look at: one view, at one commit, and in it what the principal may
/// read. What was asked of it is what a cached document depends on.
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
    /// One package, if anything of it is visible here.
    fn find_package(&self, package: &PackageName) -> Result<Option<PackageFacts>, Refusal>;
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
}

/// Translates one ecosystem's protocol into Ingot's words and back. Never does I/O.
pub trait Format: Send + Sync + 'static {
    /// The name in URLs and package names.
    fn name(&self) -> &'static str;
    /// How its clients want to be refused.
    fn dialect(&self) -> Dialect;
    /// The body that tells its clients of success; none for that of the house. The status is the
    /// house's: 201 for what was made now, else 200.
    fn accept(&self, done: &Done<'_>) -> Option<Document>;
    /// What a request means. Never looks at the body.
    fn parse(&self, request: &Request<'_>) -> Result<Call, Refusal>;
    /// What a body contains: checks it, and hands its files, if any, to the sink.
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
