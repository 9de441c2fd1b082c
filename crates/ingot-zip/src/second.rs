//! What a widely used reader finds in the same bytes. It never decides alone: it keeps its entries
//! by name, so that of two with one name it shows only one.

use ingot_core::Refusal;
use ingot_core::format::ReadSeek;
use zip::ZipArchive;

use crate::refuse::{Rule, archive};

/// Asks whether the archive opens, holds the same number of names, and nothing in it overlaps.
pub(crate) fn ask(body: &mut dyn ReadSeek, names: usize) -> Result<(), Refusal> {
    let differs = |words: String| archive(Rule::SecondOpinion, words);
    let mut opened = ZipArchive::new(body)
        .map_err(|error| differs("another reader cannot open it".to_owned()).because(error))?;
    if opened.len() != names {
        let words = format!("another reader finds {} names instead of {names}", opened.len());
        return Err(differs(words));
    }
    let overlaps = opened
        .has_overlapping_entries()
        .map_err(|error| differs("another reader cannot follow it".to_owned()).because(error))?;
    if overlaps {
        return Err(differs("another reader finds entries that overlap".to_owned()));
    }
    Ok(())
}
