//! One commit by its number, for who lists the ledger from some place on.

use ingot_core::Seq;

use crate::commit::{Commit, Head};
use crate::ledger::Ledger;
use crate::{Error, Result};

impl Ledger {
    /// The head that commit `seq` made; [`Ledger::start`] for 0, none when there is no such
    /// commit. What follows it is read with [`Ledger::read_after`], which checks the chain.
    ///
    /// Errors: `Damaged`, `NewerFormat`, `Unavailable`.
    pub async fn head_at(&self, seq: Seq) -> Result<Option<Head>> {
        if seq == 0 {
            return Ok(Some(self.start()));
        }
        let Some(line) = self.find_line(seq).await? else { return Ok(None) };
        let commit = Commit::decode(self.layout.commit(seq).as_ref(), &line)?;
        if commit.seq != seq {
            return Err(Error::broken(seq, "another commit lies under its number"));
        }
        Ok(Some(commit.head()))
    }
}
