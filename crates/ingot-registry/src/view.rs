//! One view at one commit, as formats see it when they render a document.

use std::collections::BTreeMap;

use ingot_core::facts::Facts;
use ingot_core::format::{PackageFacts, View as SeenView};
use ingot_core::records::ReleaseRecord;
use ingot_core::{Coordinate, PackageName, Refusal, ViewName};
use ingot_index::View;

use crate::access::{Authorized, Read};
use crate::fetch::is_admitted;

/// What the holder of a proof sees in one view: what is blocked, not admitted or
/// not covered is not there.
pub(crate) struct FormatView<'a> {
    view: &'a View<'a>,
    proof: &'a Authorized<Read>,
    base_url: &'a str,
}

impl<'a> FormatView<'a> {
    pub(crate) fn new(
        view: &'a View<'a>,
        proof: &'a Authorized<Read>,
        base_url: &'a str,
    ) -> Self {
        Self { view, proof, base_url }
    }
}

impl SeenView for FormatView<'_> {
    fn name(&self) -> &ViewName {
        self.proof.view()
    }

    fn base_url(&self) -> &str {
        self.base_url
    }

    fn packages(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<PackageName>, Refusal> {
        let mut after = after.map(str::to_owned);
        let mut found = Vec::new();
        while found.len() < limit {
            let (page, next): (Vec<PackageName>, _) = match &self.name().channel {
                None => {
                    let page = self.view.packages(prefix, after.as_deref(), limit)?;
                    (page.items.into_iter().map(|row| row.package).collect(), page.next)
                }
                Some(channel) => {
                    let page =
                        self.view.channel_packages(channel, prefix, after.as_deref(), limit)?;
                    let standing = page.items.into_iter().filter(|row| row.current.is_some());
                    (standing.map(|row| row.package).collect(), page.next)
                }
            };
            found.extend(page.into_iter().filter(|package| self.proof.covers(package)));
            after = next;
            if after.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    fn releases(
        &self,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<ReleaseRecord>, Option<String>), Refusal> {
        if !self.proof.covers(package) {
            return Ok((Vec::new(), None));
        }
        let (mut releases, next): (Vec<_>, _) = match &self.name().channel {
            None => {
                let page = self.view.releases(package, after, limit)?;
                (page.items, page.next)
            }
            Some(channel) => {
                let page = self.view.admitted(channel, package, after, limit)?;
                (page.items.into_iter().map(|row| row.release).collect(), page.next)
            }
        };
        releases.retain(|release| release.blocked.is_none());
        Ok((releases, next))
    }

    fn find_release(&self, at: &Coordinate) -> Result<Option<ReleaseRecord>, Refusal> {
        if !self.proof.covers(&at.package) {
            return Ok(None);
        }
        let Some(release) = self.view.find_release(at)? else { return Ok(None) };
        let visible = release.blocked.is_none()
            && is_admitted(self.view, self.name(), &at.package, &release)?;
        Ok(visible.then_some(release))
    }

    fn find_package(&self, package: &PackageName) -> Result<Option<PackageFacts>, Refusal> {
        if !self.proof.covers(package) {
            return Ok(None);
        }
        let Some(record) = self.view.find_package(package)? else { return Ok(None) };
        let (changed_at, current) = match &self.name().channel {
            None => {
                let newest = self.view.releases(package, None, 1)?.items.into_iter().next();
                (newest.map(|release| release.published_at), None)
            }
            Some(channel) => {
                let newest = self.view.admitted(channel, package, None, 1)?.items.into_iter().next();
                let admitted_at = newest.map(|row| row.admission.since);
                let standing = self.view.find_current(channel, package)?;
                let current = standing.and_then(|standing| standing.current);
                let moved_at = current.as_ref().map(|current| current.since);
                (admitted_at.max(moved_at), current.map(|current| current.version))
            }
        };
        let Some(changed_at) = changed_at else { return Ok(None) };
        let mut labels = BTreeMap::new();
        if self.name().channel.is_none() {
            for channel in self.view.channels()? {
                let name = channel.definition.name;
                let standing = self.view.find_current(&name, package)?;
                if let Some(current) = standing.and_then(|standing| standing.current) {
                    labels.insert(name.to_string(), current.version);
                }
            }
        }
        Ok(Some(PackageFacts { revision: record.revision, changed_at, current, labels }))
    }
}
