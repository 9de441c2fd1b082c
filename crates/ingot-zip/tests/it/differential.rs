//! Whatever is accepted, all readers list with the same names and bytes.

use crate::honest::archives;
use crate::oracles::Accepted;
use crate::{check, rule};

#[test]
fn all_readers_agree_on_honest_archives() {
    let mut accepted = Accepted::new();
    for (maker, bytes) in archives() {
        check(&bytes).unwrap_or_else(|refusal| panic!("{maker}: {} {refusal:?}", rule(&refusal)));
        accepted.add(&bytes);
    }
    accepted.compare();
}
