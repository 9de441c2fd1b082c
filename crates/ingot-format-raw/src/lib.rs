//! Files as they are: zips and whatever else a build makes that has no registry of its own.
//!
//! The smallest format, and the worked example for writing another: one URL is one file, nothing
//! is renamed, nothing is computed but listings. It knows no channels; a channel's view is only a
//! shorter URL that asks for what is current there.
//!
//! Reading order: `grammar` (what names may be), `parse` (what a request means), then the rest of
//! the trait below.

mod grammar;
mod listing;
mod media;
mod parse;

use ingot_core::format::{
    Action, Call, Dialect, Document, DocumentRef, Done, DraftView, FileSink, Format, NewFile,
    Publication, ReadSeek, Request, Submission, View,
};
use ingot_core::{Code, Coordinate, FilePath, Origin, Refusal, ViewName};
use ingot_zip::{ZipLimits, check_zip};

pub use grammar::PACKAGE_BYTES_MAX;
pub use listing::PAGE_ROWS;

/// The name of the format in URLs and package names.
pub const NAME: &str = "raw";

/// The `raw` format.
#[derive(Clone, Debug, Default)]
pub struct RawFormat {
    zip_limits: ZipLimits,
}

impl RawFormat {
    /// The format with limits for the zips it takes.
    pub fn new(zip_limits: ZipLimits) -> Self {
        Self { zip_limits }
    }
}

impl Format for RawFormat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn dialect(&self) -> Dialect {
        Dialect::PROBLEM
    }

    fn accept(&self, _done: &Done<'_>) -> Option<Document> {
        None
    }

    fn parse(&self, request: &Request<'_>) -> Result<Call, Refusal> {
        parse::parse(request)
    }

    fn unpack(
        &self,
        what: &Submission,
        body: &mut dyn ReadSeek,
        files: &mut dyn FileSink,
    ) -> Result<Action, Refusal> {
        let (Some(package), Some(version), Some(path)) = (&what.package, &what.version, &what.path)
        else {
            return Err(Refusal::new(
                Code::Internal,
                "an upload without a package, version or file name",
            ));
        };
        if media::is_zip(path) {
            check_zip(body, &self.zip_limits)?;
        }
        let media_type = media::media_type(path).to_owned();
        files.adopt(NewFile { path: path.clone(), media_type, piece: None })?;
        let at = Coordinate { package: package.clone(), version: version.clone() };
        Ok(Action::Stage { at, intent: what.intent, origin: Origin::default(), labels: Vec::new() })
    }

    /// Any set of files is whole: only who publishes knows what belongs to a release.
    fn judge(&self, _draft: &DraftView<'_>) -> Result<Publication, Refusal> {
        Ok(Publication::default())
    }

    fn render(&self, document: &DocumentRef, view: &dyn View) -> Result<Document, Refusal> {
        listing::render(document, view)
    }

    fn locate(&self, view: &ViewName, at: &Coordinate, path: &FilePath) -> String {
        parse::locate(view, at, path)
    }
}
