//! What can happen: the events of a ledger.
//!
//! Events are data that is kept for ever: a kind or member is never renamed or given another
//! meaning, only added to. A process that meets a kind it does not know stops folding.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::digest::{Digest, Hashes};
use crate::grant::Grant;
use crate::names::{Alias, ChannelName, FilePath, PackageName, ProjectName, Version};
use crate::origin::Origin;

/// One file as an event records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// The name in its release.
    pub path: FilePath,
    /// Length in bytes.
    pub size: u64,
    /// The sha256 of the content.
    pub digest: Digest,
    /// The checksums that were made while receiving it.
    #[serde(default, skip_serializing_if = "no_hashes")]
    pub hashes: Hashes,
    /// The media type it is served with.
    pub media_type: String,
    /// Which put of this content it was: the number of collections of the digest before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub incarnation: u32,
    /// What its format renders documents from and judges drafts by, without reading a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece: Option<Value>,
}

fn no_hashes(hashes: &Hashes) -> bool {
    *hashes == Hashes::default()
}
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A channel as it is defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDefinition {
    /// Its name.
    pub name: ChannelName,
    /// The channel a release must be admitted to before it may come here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ChannelName>,
    /// Asks for a named grant: a token that may promote "everywhere" may not promote here.
    #[serde(default)]
    pub protected: bool,
}

/// What a transition does to one package in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransitionKind {
    /// Makes a release current, and admits it.
    Promote,
    /// Makes an earlier release current again, and holds the package.
    Rollback,
    /// Refuses promotions of the package until lifted.
    Hold,
    /// Ends a hold.
    Lift,
    /// Takes a release out of what is admitted.
    Revoke,
}

/// One thing that happened. A request may cause several; they share one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A file waits in a draft, seen by nobody but who uploads it.
    Staged {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// The file.
        file: FileFact,
        /// What the upload said about its origin.
        #[serde(default, skip_serializing_if = "Origin::is_empty")]
        origin: Origin,
    },
    /// A release became visible, or a visible one gained files. Ends the publisher's draft.
    Published {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// The files that are new with this event.
        files: Vec<FileFact>,
        /// Fixed by the first such event of a release; later ones repeat it.
        #[serde(default, skip_serializing_if = "Origin::is_empty")]
        origin: Origin,
        /// Why the release can never be promoted, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unpromotable: Option<String>,
    },
    /// The file set of a release is frozen.
    Sealed {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// The release digest.
        digest: Digest,
    },
    /// A release got a further name.
    Aliased {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
        /// The name.
        alias: Alias,
    },
    /// A release is no longer served, in any view.
    Blocked {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
    },
    /// A blocked release is served again.
    Unblocked {
        /// The package.
        package: PackageName,
        /// The version.
        version: Version,
    },
    /// The project's channels, all of them, in order.
    ChannelsDefined {
        /// The channels.
        channels: Vec<ChannelDefinition>,
    },
    /// A channel changed for one package.
    Transition {
        /// What was done.
        transition: TransitionKind,
        /// The channel.
        channel: ChannelName,
        /// The package.
        package: PackageName,
        /// The release that was current before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Version>,
        /// The release that is current after; for a revocation the one revoked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Version>,
    },
    /// The answer to a request with an idempotency key, given again if the request comes again.
    Answered {
        /// The key as the client sent it.
        key: String,
        /// A digest of method, path and body: the key is good for this request only.
        fingerprint: Digest,
        /// Whether the answer was "created" or "was so already".
        fresh: bool,
        /// The answer's body.
        body: Value,
    },
    /// A project exists (system ledger).
    ProjectCreated {
        /// The project.
        project: ProjectName,
    },
    /// A token was minted (system ledger). The token itself is nowhere kept.
    TokenMinted {
        /// The public id.
        id: String,
        /// The hash that a presented token is looked up by, lower-case hex.
        hash: String,
        /// Who or what it is for; shown wherever it acted.
        name: String,
        /// The project it was minted in; none for one that is good in all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<ProjectName>,
        /// What it may do.
        grants: Vec<Grant>,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A token ended before its time (system ledger).
    TokenRevoked {
        /// The public id.
        id: String,
    },
}

/// An event with who, when, why and on whose request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The name of the token that acted, or `system`.
    pub by: String,
    /// When, by the ledger's clock, which never goes back.
    pub at: Timestamp,
    /// The id of the request that caused it.
    pub request_id: String,
    /// Why, as the actor put it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Who changes something, when and why: what every event of one request has in common.
#[derive(Clone, Debug)]
pub struct Change {
    /// The name of the token that acts.
    pub by: String,
    /// The id of the request.
    pub request_id: String,
    /// Why.
    pub reason: Option<String>,
}

impl Change {
    /// Dresses an event in this change's facts.
    pub fn entry(&self, at: Timestamp, event: Event) -> Entry {
        Entry {
            by: self.by.clone(),
            at,
            request_id: self.request_id.clone(),
            reason: self.reason.clone(),
            event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_of_event_does_not_parse() {
        let text = r#"{"by":"ci","at":"2026-01-01T00:00:00Z","request_id":"r","kind":"moon"}"#;
        assert!(serde_json::from_str::<Entry>(text).is_err());
    }

    #[test]
    fn entries_survive_the_ledger() {
        let entry = Entry {
            by: "ci".into(),
            at: "2026-01-01T00:00:00Z".parse().expect("time"),
            request_id: "r1".into(),
            reason: Some("why not".into()),
            event: Event::Aliased {
                package: "raw:app".parse().expect("package"),
                version: "1".parse().expect("version"),
                alias: "build-7".parse().expect("alias"),
            },
        };
        let text = serde_json::to_string(&entry).expect("serialises");
        assert_eq!(serde_json::from_str::<Entry>(&text).expect("parses"), entry);
    }
}
