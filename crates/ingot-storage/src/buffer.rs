//! Buffers of one piece that are used again.
//!
//! Bodies of gigabytes pass through buffers of one MiB. Allocating those anew would leave the
//! allocator's many arenas fragmented and the process at several times the memory in use; so a
//! small stock of them is kept, and handed out as `Bytes` that come back when dropped.

use std::sync::{Arc, Mutex, PoisonError};

use crate::hashing::PIECE_BYTES;

/// How many idle buffers are kept; more than that are given back to the allocator.
const IDLE_BUFFERS_MAX: usize = 32;

/// The stock of idle buffers.
#[derive(Default)]
pub(crate) struct Stock(Mutex<Vec<Box<[u8]>>>);

impl Stock {
    /// A buffer of one piece, nothing filled. What it holds beyond that is left over.
    pub(crate) fn take(self: &Arc<Self>) -> Buffer {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; PIECE_BYTES].into_boxed_slice());
        Buffer { bytes, filled: 0, stock: self.clone() }
    }

    #[cfg(test)]
    fn idle(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// One piece's worth of bytes, partly filled. Reads as the filled part.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    stock: Arc<Stock>,
}

impl Buffer {
    /// Copies as much as fits and returns how much that was.
    pub(crate) fn fill(&mut self, from: &[u8]) -> usize {
        let count = from.len().min(PIECE_BYTES - self.filled);
        self.bytes[self.filled..self.filled + count].copy_from_slice(&from[..count]);
        self.filled += count;
        count
    }
    /// The first `count` bytes (at most a piece), to be overwritten, counted as filled.
    pub(crate) fn space(&mut self, count: usize) -> &mut [u8] {
        self.filled = count;
        &mut self.bytes[..count]
    }
    /// Whether a whole piece is in.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == PIECE_BYTES
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut idle = self.stock.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_BUFFERS_MAX {
            idle.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_up_to_the_limit() {
        let stock = Arc::new(Stock::default());
        let held: Vec<_> = (0..=IDLE_BUFFERS_MAX).map(|_| stock.take()).collect();
        assert_eq!(stock.idle(), 0);
        drop(held);
        assert_eq!(stock.idle(), IDLE_BUFFERS_MAX, "one more than the limit was given back");
        let bytes = bytes::Bytes::from_owner(stock.take());
        assert_eq!(stock.idle(), IDLE_BUFFERS_MAX - 1);
        drop(bytes);
        assert_eq!(stock.idle(), IDLE_BUFFERS_MAX);
    }

    #[test]
    fn a_buffer_takes_one_piece_and_not_a_byte_more() {
        let mut buffer = Arc::new(Stock::default()).take();
        assert_eq!(buffer.fill(&vec![1; PIECE_BYTES - 1]), PIECE_BYTES - 1);
        assert!(!buffer.is_full());
        assert_eq!(buffer.fill(&[2, 3]), 1);
        assert!(buffer.is_full());
        assert_eq!(buffer.as_ref()[PIECE_BYTES - 1], 2);
        assert_eq!(buffer.fill(&[4]), 0);
    }
}
