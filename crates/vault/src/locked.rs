//! Memory for secrets: pages of their own, locked against swap, wiped when dropped.
//!
//! A page belongs to one [`Locked`] only, because the operating system locks and unlocks whole pages: a neighbour that
//! is dropped would otherwise unlock this secret too. When the system refuses (its limit on locked memory is small in
//! some containers), the secret is kept all the same and [`Locked::holds`] says so.

use std::fmt;

use region::LockGuard;
use zeroize::Zeroize;

/// What secrets are made of here: keys, chain codes and entropy all fit.
pub(crate) type Slot = [u8; 32];

/// A few 32-byte secrets on locked pages.
pub(crate) struct Locked {
    /// Dropped before the memory: the pages are unlocked while they are still ours.
    guard: Option<LockGuard>,
    /// More than is used: the slots are those that lie wholly on the locked pages.
    memory: Box<[Slot]>,
    first: usize,
    count: usize,
}

impl Locked {
    /// Zeroed slots. None at all takes no memory and counts as locked.
    pub(crate) fn new(count: usize) -> Self {
        if count == 0 {
            return Self { guard: None, memory: Box::new([]), first: 0, count };
        }
        let (page, slot) = (region::page::size(), size_of::<Slot>());
        // One slot more, because the first page need not begin at the edge of a slot.
        let size = ((count + 1) * slot).next_multiple_of(page);
        // One page more, because the memory begins anywhere in its first page.
        let memory = vec![[0; 32]; (size + page) / slot].into_boxed_slice();
        let begin = memory.as_ptr().addr();
        let pages = begin.next_multiple_of(page) - begin;
        let first = pages.div_ceil(slot);
        let guard = region::lock(memory[first..].as_ptr(), count * slot).ok();
        Self { guard, memory, first, count }
    }

    /// One slot with these bytes, the rest of it zero. Longer ones are cut: everything kept here has 32 bytes at most.
    pub(crate) fn one(bytes: &[u8]) -> Self {
        let mut locked = Self::new(1);
        let length = bytes.len().min(size_of::<Slot>());
        locked.get_mut(0)[..length].copy_from_slice(&bytes[..length]);
        locked
    }

    /// How many slots there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// A secret, for the moment of its use.
    pub(crate) fn get(&self, index: usize) -> &Slot {
        &self.memory[self.first..][..self.count][index]
    }

    /// A secret, for filling it in.
    pub(crate) fn get_mut(&mut self, index: usize) -> &mut Slot {
        &mut self.memory[self.first..][..self.count][index]
    }

    /// True when the system has locked the pages.
    pub(crate) const fn holds(&self) -> bool {
        self.guard.is_some() || self.count == 0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.memory.zeroize();
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests;
