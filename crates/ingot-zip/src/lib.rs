//! Says whether a zip means the same to everyone who reads it.
//!
//! A zip tells the same things twice (a header before each entry, a directory at the end), and
//! readers disagree about which of the two counts. An archive that uses the difference shows one
//! content to a scanner and another to the machine that runs it. [`check_zip`] therefore accepts
//! only archives in which nothing is left to choose: both tellings agree, every byte of the file
//! belongs to exactly one of them, names mean one place on every system, and every entry inflates
//! to what was announced.
//!
//! This crate knows no package format, extracts nothing, and writes nothing. The order of the
//! checks is the order of the modules: `end` (where the directory is), `directory` (what it says,
//! with `names` and `extra`), `local` (what stands before the entries, and that all of it covers
//! the file exactly), `inflate` (the content), `second` (another reader's opinion).

mod directory;
mod end;
mod extra;
mod inflate;
mod local;
mod names;
mod refuse;
mod second;
mod source;

use ingot_core::Refusal;
use ingot_core::format::ReadSeek;

pub use names::{ENTRY_NAME_BYTES_MAX, ENTRY_SEGMENT_BYTES_MAX};
pub use refuse::Rule;

/// Most entries in one archive.
pub const ENTRIES_MAX: u64 = 100_000;
/// Longest entry, inflated, in bytes.
pub const ENTRY_BYTES_MAX: u64 = 2 << 30;
/// Longest content of all entries together, inflated, in bytes: bounds the work of one upload.
pub const INFLATED_BYTES_MAX: u64 = 16 << 30;
/// How many times longer than the archive its inflated content may be.
pub const RATIO_MAX: u64 = 100;
/// Inflated content up to this many bytes is fine at any ratio: a few empty pages of a small,
/// honest archive shrink by a thousand, and harm nobody.
pub const RATIO_FREE_BYTES: u64 = 64 << 20;
/// Longest central directory in bytes: bounds the memory of one upload.
pub const DIRECTORY_BYTES_MAX: u64 = 64 << 20;

/// What an archive may amount to. Each format may ask for less than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipLimits {
    /// Most entries.
    pub entries_max: u64,
    /// Longest entry, inflated, in bytes.
    pub entry_bytes_max: u64,
    /// Longest content of all entries together, inflated, in bytes.
    pub inflated_bytes_max: u64,
    /// How many times longer than the archive its inflated content may be.
    pub ratio_max: u64,
    /// Inflated content up to this many bytes is fine at any ratio.
    pub ratio_free_bytes: u64,
    /// Longest central directory in bytes.
    pub directory_bytes_max: u64,
}

impl Default for ZipLimits {
    fn default() -> Self {
        Self {
            entries_max: ENTRIES_MAX,
            entry_bytes_max: ENTRY_BYTES_MAX,
            inflated_bytes_max: INFLATED_BYTES_MAX,
            ratio_max: RATIO_MAX,
            ratio_free_bytes: RATIO_FREE_BYTES,
            directory_bytes_max: DIRECTORY_BYTES_MAX,
        }
    }
}

/// What a sound archive was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipFacts {
    /// How many entries it has, directories included.
    pub entries: u64,
    /// The inflated content of all entries together, in bytes.
    pub inflated_bytes: u64,
}

/// Reads an archive from its first byte to its last and says what it is.
///
/// Memory is bounded by the central directory (at most [`ZipLimits::directory_bytes_max`], some
/// times over), work by the limits: nothing is inflated before the layout of the whole archive
/// and the announced sizes were found sound. An archive without entries is sound.
///
/// # Errors
/// [`ingot_core::Code::Invalid`] with the words for whoever made the archive, a member `rule`
/// (see [`Rule`]) and, where one entry is to blame, a member `entry` with its name, escaped.
/// [`ingot_core::Code::Internal`] when the body cannot be read.
pub fn check_zip(body: &mut dyn ReadSeek, limits: &ZipLimits) -> Result<ZipFacts, Refusal> {
    let mut source = source::Source::new(body)?;
    let end = end::find_end(&mut source)?;
    let entries = directory::read_directory(&mut source, &end, limits)?;
    let inflated_bytes = directory::check_budget(&entries, source.len(), limits)?;
    let spans = local::walk(&mut source, &entries, end.directory_at)?;
    inflate::check_content(&mut source, &entries, &spans)?;
    let names = entries.len();
    drop(entries);
    drop(spans);
    second::ask(source.into_inner(), names)?;
    Ok(ZipFacts { entries: names as u64, inflated_bytes })
}
