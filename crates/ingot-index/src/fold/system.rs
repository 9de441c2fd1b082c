//! Projects and tokens, as the `system` ledger tells them.

use ingot_core::records::TokenRecord;
use ingot_core::{Entry, Event, ProjectName};

use crate::IndexError;
use crate::fold::Fold;
use crate::keys::{Key, Table};
use crate::rows::ProjectRow;

fn project_token(project: Option<&ProjectName>, id: &str) -> Key {
    Key::of(Table::ProjectToken).part(project.map_or("", ProjectName::as_str)).last(id)
}

impl Fold<'_> {
    pub(super) fn fold_system(&mut self, entry: &Entry) -> Result<(), IndexError> {
        match &entry.event {
            Event::ProjectCreated { project } => {
                let key = Key::of(Table::Project).last(project);
                let known: Option<ProjectRow> = self.reads.record(key.clone())?;
                if known.is_some() {
                    return Ok(());
                }
                let row = ProjectRow {
                    project: project.clone(),
                    created_at: entry.at,
                    created_by: entry.by.clone(),
                };
                self.put(key, &row)
            }
            Event::TokenMinted { id, hash, name, project, grants, expires_at } => {
                let token = TokenRecord {
                    id: id.clone(),
                    hash: hash.clone(),
                    name: name.clone(),
                    project: project.clone(),
                    grants: grants.clone(),
                    created_at: entry.at,
                    created_by: entry.by.clone(),
                    expires_at: *expires_at,
                };
                self.put(Key::of(Table::TokenHash).last(hash), id)?;
                self.mark(project_token(project.as_ref(), id));
                self.put(Key::of(Table::Token).last(id), &token)
            }
            Event::TokenRevoked { id } => {
                let key = Key::of(Table::Token).last(id);
                let token: Option<TokenRecord> = self.reads.record(key.clone())?;
                // Revoked twice is revoked.
                let Some(token) = token else { return Ok(()) };
                self.remove(key);
                self.remove(Key::of(Table::TokenHash).last(&token.hash));
                self.remove(project_token(token.project.as_ref(), id));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
