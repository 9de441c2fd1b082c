//! The rules: what may happen. Pure functions from what is ([`Facts`]) and what is asked to
//! events, or a refusal that says what to do next.
//!
//! The committer calls them against the folded ledger *plus* what it has already decided in the
//! same batch, so a rule may look and then act: nothing happens in between.

pub mod channel;
pub mod keep;
pub mod publish;
pub mod refs;
pub mod release;
pub mod token;

use crate::Timestamp;
use crate::event::Event;
use crate::facts::Facts;
use crate::names::{ChannelName, RESERVED_VERSIONS, Seq};
use crate::records::ChannelRecord;
use crate::refusal::{Code, Refusal};

/// The commit that a decision will be part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its number.
    pub seq: Seq,
    /// Its time: the later of the clock and the commit before.
    pub at: Timestamp,
}

/// What a rule decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What happens; nothing when all was so already.
    pub events: Vec<Event>,
    /// Whether the caller's wish was new ("created"), or was so already.
    pub fresh: bool,
}

impl Decision {
    /// All was so already.
    pub fn same() -> Self {
        Self::default()
    }
    /// These things happen.
    pub fn fresh(events: Vec<Event>) -> Self {
        Self { events, fresh: true }
    }
}

/// True for a word that as a version would mean "whatever is there now".
pub fn is_reserved(facts: &dyn Facts, word: &str) -> Result<bool, Refusal> {
    let lower = word.to_ascii_lowercase();
    if RESERVED_VERSIONS.contains(&lower.as_str()) {
        return Ok(true);
    }
    let channels = facts.channels()?;
    Ok(channels.iter().any(|channel| channel.definition.name.as_str() == lower))
}

/// The channel, or 404.
pub fn channel(facts: &dyn Facts, name: &ChannelName) -> Result<ChannelRecord, Refusal> {
    let channels = facts.channels()?;
    let known: Vec<_> = channels.iter().map(|c| c.definition.name.to_string()).collect();
    channels.into_iter().find(|channel| channel.definition.name == *name).ok_or_else(|| {
        Refusal::new(
            Code::NotFound,
            format!("there is no channel {name}; this project has: {}", known.join(", ")),
        )
    })
}
