//! The digests of a blob's pieces, kept in an object of their own beside the blob.
//!
//! Written form: the line `ingot-pieces 1`, the blob's sha256 (32 bytes), its size (8 bytes, big
//! endian), the sha256 of each piece of [`PIECE_BYTES`] (32 bytes each), and at the end the
//! sha256 of everything before. It is a means to verify ranges, never the truth: when it is
//! missing or not sound, the blob itself is read and it is written again.

use bytes::Bytes;
use ingot_core::Digest;

use crate::hashing::PIECE_BYTES;

const MAGIC: &[u8] = b"ingot-pieces 1\n";
const DIGEST_BYTES: usize = 32;
const HEAD_BYTES: usize = MAGIC.len() + DIGEST_BYTES + 8;

/// The largest written form that is read: that of a blob of 1 TiB.
pub(crate) const PIECES_BYTES_MAX: usize = encoded_bytes(1 << 40);

/// How many pieces a blob of that size has.
pub(crate) const fn count(size: u64) -> u64 {
    size.div_ceil(PIECE_BYTES as u64)
}

const fn encoded_bytes(size: u64) -> usize {
    HEAD_BYTES + (count(size) as usize) * DIGEST_BYTES + DIGEST_BYTES
}

/// Whether a blob of that size has its pieces kept.
pub(crate) const fn are_kept(size: u64) -> bool {
    size > PIECE_BYTES as u64 && encoded_bytes(size) <= PIECES_BYTES_MAX
}

/// Sound digests of the pieces of one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces(Bytes);

impl Pieces {
    /// Writes them down.
    pub(crate) fn of(digest: Digest, size: u64, pieces: &[Digest]) -> Self {
        let mut out = Vec::with_capacity(HEAD_BYTES + (pieces.len() + 1) * DIGEST_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(digest.as_bytes());
        out.extend_from_slice(&size.to_be_bytes());
        pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
        out.extend_from_slice(Digest::of(&out).as_bytes());
        Self(out.into())
    }

    /// Takes the written form; none when it is not sound or belongs to another blob.
    pub(crate) fn parse(bytes: Bytes, digest: Digest, size: u64) -> Option<Self> {
        if bytes.len() != encoded_bytes(size) {
            return None;
        }
        let (content, checksum) = bytes.split_at(bytes.len() - DIGEST_BYTES);
        let rest = content.strip_prefix(MAGIC)?.strip_prefix(digest.as_bytes())?;
        let sound =
            rest.starts_with(&size.to_be_bytes()) && Digest::of(content).as_bytes() == checksum;
        sound.then_some(Self(bytes))
    }

    /// The written form.
    pub(crate) fn encoded(&self) -> &Bytes {
        &self.0
    }

    /// Whether the bytes are those of the piece with that number.
    pub(crate) fn matches(&self, number: u64, bytes: &[u8]) -> bool {
        let start = HEAD_BYTES + number as usize * DIGEST_BYTES;
        self.0.get(start..start + DIGEST_BYTES) == Some(Digest::of(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_or_wrong_length_is_noticed() {
        let size = PIECE_BYTES as u64 + 1;
        let digest = Digest::of(b"blob");
        let pieces = Pieces::of(digest, size, &[Digest::of(b"a"), Digest::of(b"b")]);
        let good = pieces.encoded().clone();
        assert_eq!(Pieces::parse(good.clone(), digest, size), Some(pieces.clone()));
        assert!(pieces.matches(0, b"a") && pieces.matches(1, b"b") && !pieces.matches(1, b"a"));
        assert!(!pieces.matches(3, b"a"));
        for place in 0..good.len() {
            let mut bad = good.to_vec();
            bad[place] ^= 1;
            assert_eq!(Pieces::parse(bad.into(), digest, size), None, "byte {place}");
            assert_eq!(Pieces::parse(good.slice(..place), digest, size), None);
        }
        assert_eq!(Pieces::parse(good.clone(), Digest::of(b"other"), size), None);
        assert_eq!(Pieces::parse(good, digest, size + 1), None);
    }

    #[test]
    fn only_blobs_of_more_than_one_piece_have_them_kept() {
        assert!(!are_kept(PIECE_BYTES as u64));
        assert!(are_kept(PIECE_BYTES as u64 + 1));
        assert!(are_kept(1 << 40));
        assert!(!are_kept((1 << 40) + 1));
    }
}
