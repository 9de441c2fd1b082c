//! Channels, and where packages stand in them.

use ingot_core::event::{ChannelDefinition, TransitionKind};
use ingot_core::names::{ChannelName, PackageName, Version};
use ingot_core::records::{Admission, ChannelRecord};
use ingot_core::standing::Transition;
use ingot_core::{Entry, Event};

use crate::IndexError;
use crate::fold::{Fold, misfit};
use crate::keys::{Key, Spot, Table};
use crate::rows::{AdmissionRow, ChannelRow, ChannelTransition, StandingRow};

impl Fold<'_> {
    pub(super) fn define_channels(
        &mut self,
        channels: &[ChannelDefinition],
        spot: Spot,
    ) -> Result<(), IndexError> {
        let before = self.reads.channel_rows()?;
        for row in &before {
            if !channels.iter().any(|channel| channel.name == row.record.definition.name) {
                self.remove(Key::of(Table::Channel).last(&row.record.definition.name));
            }
        }
        for (ordinal, definition) in (0..).zip(channels) {
            let known = before.iter().find(|row| row.record.definition.name == definition.name);
            let record = match known {
                Some(row) if row.record.definition == *definition => row.record.clone(),
                known => ChannelRecord {
                    definition: definition.clone(),
                    seq: spot.seq,
                    used: known.is_some_and(|row| row.record.used),
                },
            };
            self.put(
                Key::of(Table::Channel).last(&definition.name),
                &ChannelRow { ordinal, record },
            )?;
        }
        Ok(())
    }

    pub(super) fn fold_transition(&mut self, entry: &Entry, spot: Spot) -> Result<(), IndexError> {
        let Event::Transition { transition: kind, channel, package, from, to } = &entry.event
        else {
            return Ok(());
        };
        let transition = Transition {
            seq: spot.seq,
            kind: *kind,
            from: from.clone(),
            to: to.clone(),
            by: entry.by.clone(),
            at: entry.at,
            reason: entry.reason.clone(),
        };
        self.note_in_channel(channel, *kind, spot)?;
        self.stand(channel, package, &transition)?;
        match (kind, to) {
            (TransitionKind::Promote, Some(version)) => {
                self.admit(channel, package, version, entry, spot)?;
            }
            (TransitionKind::Revoke, Some(version)) => self.dismiss(channel, package, version)?,
            (TransitionKind::Promote | TransitionKind::Revoke | TransitionKind::Rollback, None) => {
                return Err(misfit(format!("commit {} moves {package} to nothing", spot.seq)));
            }
            (TransitionKind::Rollback, Some(_))
            | (TransitionKind::Hold | TransitionKind::Lift, _) => {}
        }
        let name = package.to_string();
        self.put(Key::of(Table::Transition).part(channel).part(&name).spot(spot), &transition)?;
        self.put(
            Key::of(Table::TransitionOrder).part(channel).spot(spot),
            &ChannelTransition { package: package.clone(), transition },
        )?;
        self.touch_package(package, 0, spot.seq)
    }

    fn note_in_channel(
        &mut self,
        channel: &ChannelName,
        kind: TransitionKind,
        spot: Spot,
    ) -> Result<(), IndexError> {
        let key = Key::of(Table::Channel).last(channel);
        let row: Option<ChannelRow> = self.reads.record(key.clone())?;
        let Some(mut row) = row else {
            return Err(misfit(format!("commit {} moves in no channel: {channel}", spot.seq)));
        };
        row.record.seq = spot.seq;
        row.record.used |= kind == TransitionKind::Promote;
        self.put(key, &row)
    }

    /// A block shows in each channel where the release is current: who watches must see it move.
    pub(super) fn note_where_current(
        &mut self,
        package: &PackageName,
        version: &Version,
        spot: Spot,
    ) -> Result<(), IndexError> {
        for row in self.reads.channel_rows()? {
            let name = row.record.definition.name;
            let key = Key::of(Table::Standing).part(&name).last(package.to_string());
            let row: Option<StandingRow> = self.reads.record(key)?;
            let current = row.and_then(|row| row.current);
            if current.is_some_and(|current| current.version == *version) {
                self.note_in_channel(&name, TransitionKind::Hold, spot)?;
            }
        }
        Ok(())
    }

    /// Folds by the core's own function: what is now and what history tells cannot differ.
    fn stand(
        &mut self,
        channel: &ChannelName,
        package: &PackageName,
        transition: &Transition,
    ) -> Result<(), IndexError> {
        let name = package.to_string();
        let key = Key::of(Table::Standing).part(channel).last(&name);
        if matches!(transition.kind, TransitionKind::Hold | TransitionKind::Lift) {
            let row: Option<StandingRow> = self.reads.record(key.clone())?;
            let held = transition.kind == TransitionKind::Hold;
            return self.put(key, &StandingRow { held, ..row.unwrap_or_default() });
        }
        let mut standing = self.reads.standing(channel, package)?.unwrap_or_default();
        standing.apply(transition);
        self.put(Key::of(Table::StandingLine).part(channel).last(&name), &standing.line)?;
        self.put(key, &StandingRow { current: standing.current, held: standing.held })
    }

    fn admission_key(channel: &ChannelName, package: &PackageName, version: &Version) -> Key {
        Key::of(Table::Admission).part(channel).part(package.to_string()).last(version)
    }

    fn admit(
        &mut self,
        channel: &ChannelName,
        package: &PackageName,
        version: &Version,
        entry: &Entry,
        spot: Spot,
    ) -> Result<(), IndexError> {
        let key = Self::admission_key(channel, package, version);
        let known: Option<AdmissionRow> = self.reads.record(key.clone())?;
        // Admitted already: it has been since then.
        if known.is_some() {
            return Ok(());
        }
        let admission = Admission { since: entry.at, by: entry.by.clone(), seq: spot.seq };
        self.put(key, &AdmissionRow { admission, position: spot.position })?;
        let order = Key::of(Table::AdmissionOrder).part(channel).part(package.to_string());
        self.put(order.spot(spot), version)
    }

    fn dismiss(
        &mut self,
        channel: &ChannelName,
        package: &PackageName,
        version: &Version,
    ) -> Result<(), IndexError> {
        let key = Self::admission_key(channel, package, version);
        let known: Option<AdmissionRow> = self.reads.record(key.clone())?;
        let Some(row) = known else { return Ok(()) };
        self.remove(key);
        let order = Key::of(Table::AdmissionOrder).part(channel).part(package.to_string());
        self.remove(order.spot(Spot { seq: row.admission.seq, position: row.position }));
        Ok(())
    }
}
