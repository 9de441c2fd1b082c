//! All hashes of one body, computed while it is received.

use ingot_core::{Digest, HashSet, Hashes};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

/// Bodies are received, hashed, read and verified in pieces of this many bytes.
pub const PIECE_BYTES: usize = 1024 * 1024;

/// Below this a body is hashed in line: handing it to another thread would cost more.
pub(crate) const INLINE_HASH_BYTES_MAX: usize = 64 * 1024;

/// The running hashes of one body.
pub(crate) struct Hashers {
    whole: Sha256,
    pieces: Vec<Digest>,
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    sha512: Option<Sha512>,
}

/// What is known of a body once all of it went through.
pub(crate) struct Finished {
    pub(crate) digest: Digest,
    pub(crate) hashes: Hashes,
    /// The digests of its pieces, in order.
    pub(crate) pieces: Vec<Digest>,
}

impl Hashers {
    pub(crate) fn new(wanted: HashSet) -> Self {
        Self {
            whole: Sha256::new(),
            pieces: Vec::new(),
            md5: wanted.md5.then(Md5::new),
            sha1: wanted.sha1.then(Sha1::new),
            sha512: wanted.sha512.then(Sha512::new),
        }
    }

    /// Takes the next piece: a full one, or the last. Large pieces go through the hashes beside
    /// each other. Blocks for about a millisecond: not for async workers, unless small.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        let Self { whole, pieces, md5, sha1, sha512 } = self;
        let first = pieces.is_empty();
        if piece.len() <= INLINE_HASH_BYTES_MAX {
            whole.update(piece);
            md5.iter_mut().for_each(|hasher| hasher.update(piece));
            sha1.iter_mut().for_each(|hasher| hasher.update(piece));
            sha512.iter_mut().for_each(|hasher| hasher.update(piece));
            if !first {
                pieces.push(Digest::of(piece));
            }
        } else {
            std::thread::scope(|scope| {
                let of_piece = (!first).then(|| scope.spawn(|| Digest::of(piece)));
                if let Some(hasher) = md5 {
                    scope.spawn(|| hasher.update(piece));
                }
                if let Some(hasher) = sha1 {
                    scope.spawn(|| hasher.update(piece));
                }
                if let Some(hasher) = sha512 {
                    scope.spawn(|| hasher.update(piece));
                }
                whole.update(piece);
                if let Some(of_piece) = of_piece {
                    pieces.push(of_piece.join().expect("hashing does not panic"));
                }
            });
        }
        if first {
            // Of the first piece the running hash is the digest already.
            pieces.push(Digest::from_bytes(whole.clone().finalize().into()));
        }
    }

    pub(crate) fn finish(self) -> Finished {
        Finished {
            digest: Digest::from_bytes(self.whole.finalize().into()),
            hashes: Hashes {
                md5: self.md5.map(|hasher| hex::encode(hasher.finalize())),
                sha1: self.sha1.map(|hasher| hex::encode(hasher.finalize())),
                sha512: self.sha512.map(|hasher| hex::encode(hasher.finalize())),
            },
            pieces: self.pieces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let mut hashers = Hashers::new(HashSet { md5: true, sha1: true, sha512: true });
        hashers.update(b"abc");
        let finished = hashers.finish();
        assert_eq!(
            finished.digest.hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(finished.hashes.md5.unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(finished.hashes.sha1.unwrap(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(finished.hashes.sha512.unwrap().starts_with("ddaf35a193617abacc417349ae204131"));
        assert_eq!(finished.pieces, [finished.digest]);
    }

    #[test]
    fn pieces_and_whole_agree_with_hashing_at_once() {
        let body: Vec<u8> = (0..PIECE_BYTES * 2 + 5).map(|i| (i % 251) as u8).collect();
        let mut hashers = Hashers::new(HashSet { md5: true, sha1: false, sha512: true });
        body.chunks(PIECE_BYTES).for_each(|piece| hashers.update(piece));
        let finished = hashers.finish();
        assert_eq!(finished.digest, Digest::of(&body));
        assert_eq!(finished.pieces, body.chunks(PIECE_BYTES).map(Digest::of).collect::<Vec<_>>());
        assert_eq!(finished.hashes.sha1, None, "not asked for");
        assert_eq!(finished.hashes.md5.unwrap(), hex::encode(Md5::digest(&body)));
        assert_eq!(finished.hashes.sha512.unwrap(), hex::encode(Sha512::digest(&body)));
    }
}
