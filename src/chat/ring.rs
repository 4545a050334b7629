//! The bytes below the log: a window on an endless row of bytes, kept in a ring. A byte's place is
//! the low bits of its offset, so that nothing moves when the window does.

use std::ops::Range;

/// A window that grows as bytes come and never shrinks; whoever fills it bounds it.
#[derive(Default)]
pub(super) struct Ring {
    /// As long as a power of two, or empty.
    bytes: Box<[u8]>,
    /// Offset of the oldest byte that is kept.
    start: u64,
    /// Offset behind the newest byte.
    end: u64,
}

impl Ring {
    /// Bytes in the window.
    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Offset behind the newest byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.len() + bytes.len() > self.bytes.len() {
            self.grow(self.len() + bytes.len());
        }
        let at = self.place(self.end);
        let (front, back) = bytes.split_at(bytes.len().min(self.bytes.len() - at));
        self.bytes[at..at + front.len()].copy_from_slice(front);
        if !back.is_empty() {
            self.bytes[..back.len()].copy_from_slice(back);
        }
        self.end += bytes.len() as u64;
    }

    /// Forgets what stands before `offset`, which is in the window or its end.
    pub(super) fn drop_before(&mut self, offset: u64) {
        debug_assert!((self.start..=self.end).contains(&offset), "the window moves on");
        self.start = offset;
    }

    /// The bytes between two offsets of the window, in two halves where they go over the ring's end.
    pub(super) fn get(&self, offsets: Range<u64>) -> [&[u8]; 2] {
        debug_assert!(self.start <= offsets.start && offsets.end <= self.end, "in the window");
        let len = (offsets.end - offsets.start) as usize;
        let at = self.place(offsets.start);
        let front = len.min(self.bytes.len() - at);
        [&self.bytes[at..at + front], &self.bytes[..len - front]]
    }

    fn place(&self, offset: u64) -> usize {
        // An empty ring has one offset, 0.
        offset as usize & self.bytes.len().wrapping_sub(1)
    }

    fn grow(&mut self, len: usize) {
        let kept = Ring {
            bytes: vec![0; len.next_power_of_two()].into_boxed_slice(),
            start: self.start,
            end: self.start,
        };
        let old = std::mem::replace(self, kept);
        old.get(old.start..old.end).iter().for_each(|half| self.push(half));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_window_is_as_it_was_pushed_while_it_wraps_and_grows() {
        let (mut ring, mut all) = (Ring::default(), Vec::new());
        for (count, kept) in [(40, 5), (40, 11), (40, 64), (40, 3)] {
            for number in 0..count {
                let bytes: Vec<u8> = (0..number % 7).map(|byte| byte * 16 + number).collect();
                ring.push(&bytes);
                all.extend_from_slice(&bytes);
                let start = ring.start.max(ring.end.saturating_sub(kept));
                ring.drop_before(start);
                assert_eq!(ring.end(), all.len() as u64);
                for from in start..=ring.end {
                    for to in from..=ring.end {
                        assert_eq!(ring.get(from..to).concat(), all[from as usize..to as usize]);
                    }
                }
            }
        }
        assert_eq!(ring.bytes.len(), 128, "it grew with its greatest window, 64 and 6 more");
    }
}
