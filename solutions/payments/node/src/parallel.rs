//! Work that does not depend on itself, on all cores.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Below this many pieces starting a thread costs more than it spares.
const WORTH_A_THREAD: usize = 4;

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Whether `holds` for every number below `count`. Asked on all cores, in no order, and not further after the first no.
pub(crate) fn all(count: usize, holds: impl Fn(usize) -> bool + Sync) -> bool {
    let (next, held) = (AtomicUsize::new(0), AtomicBool::new(true));
    let work = || {
        while held.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            if !holds(number) {
                held.store(false, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..cores().min(count.div_ceil(WORTH_A_THREAD)) {
            // A thread that does not start is one fewer: the work is done all the same.
            let _ = thread::Builder::new().name("payments-work".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    held.load(Ordering::Relaxed)
}

/// Pieces that were made and that nobody has asked about yet.
struct Made<T> {
    pieces: Mutex<Pieces<T>>,
    changed: Condvar,
}

struct Pieces<T> {
    waiting: VecDeque<T>,
    /// No more will be made.
    closed: bool,
    /// Every answer so far was yes.
    held: bool,
}

impl<T> Made<T> {
    fn lock(&self) -> MutexGuard<'_, Pieces<T>> {
        // Each field is right by itself.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: T) {
        let mut pieces = self.lock();
        if pieces.held {
            pieces.waiting.push_back(piece);
            drop(pieces);
            self.changed.notify_one();
        }
    }

    /// Asks about one piece after another until there will be none, or an answer was no.
    fn work(&self, holds: impl Fn(T) -> bool) {
        let mut pieces = self.lock();
        while pieces.held {
            if let Some(piece) = pieces.waiting.pop_front() {
                drop(pieces);
                let held = holds(piece);
                pieces = self.lock();
                if !held {
                    pieces.held = false;
                    pieces.waiting.clear();
                }
            } else if pieces.closed {
                return;
            } else {
                pieces = self.changed.wait(pieces).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Closes when it is dropped: whatever becomes of who makes the pieces, nobody waits for more of them.
struct Closing<'a, T>(&'a Made<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

/// What `make` gives, and whether `holds` for all of the about `count` pieces that it hands out. They are asked about on
/// all other cores while it still makes the next ones, in no order, and not further after the first no.
pub(crate) fn all_while_made<T: Send, R>(
    count: usize,
    make: impl FnOnce(&mut dyn FnMut(T)) -> R,
    holds: impl Fn(T) -> bool + Sync,
) -> (R, bool) {
    let pieces = Mutex::new(Pieces { waiting: VecDeque::new(), closed: false, held: true });
    let made = Made { pieces, changed: Condvar::new() };
    let result = thread::scope(|scope| {
        let closing = Closing(&made);
        for _ in 1..cores().min(count.div_ceil(WORTH_A_THREAD)) {
            // A thread that does not start is one fewer: the work is done all the same.
            let work = || made.work(&holds);
            let _ = thread::Builder::new().name("payments-work".to_owned()).spawn_scoped(scope, work);
        }
        let result = make(&mut |piece| made.push(piece));
        drop(closing);
        made.work(&holds);
        result
    });
    let held = made.lock().held;
    (result, held)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_number_is_asked_once_and_one_no_is_enough() {
        for count in [0, 1, 3, 100] {
            let seen = Mutex::new(Vec::new());
            assert!(all(count, |number| {
                seen.lock().expect("no panic").push(number);
                true
            }));
            let seen = seen.into_inner().expect("no panic");
            assert_eq!((seen.len(), seen.iter().collect::<HashSet<_>>().len()), (count, count));
            assert!(count == 0 || !all(count, |number| number != count - 1));
        }
    }

    #[test]
    fn pieces_are_asked_about_while_others_are_made_each_once_and_one_no_is_enough() {
        for count in [0usize, 1, 3, 100] {
            let seen = Mutex::new(Vec::new());
            let make = |put: &mut dyn FnMut(usize)| {
                (0..count).for_each(put);
                "made"
            };
            let asked = all_while_made(count, make, |number| {
                seen.lock().expect("no panic").push(number);
                true
            });
            assert_eq!(asked, ("made", true));
            let seen = seen.into_inner().expect("no panic");
            assert_eq!((seen.len(), seen.iter().collect::<HashSet<_>>().len()), (count, count));
            assert!(count == 0 || !all_while_made(count, make, |number| number != count - 1).1);
        }
    }

    #[test]
    fn nobody_waits_for_the_pieces_of_one_that_panicked() {
        let make = |put: &mut dyn FnMut(usize)| -> usize {
            put(1);
            panic!("as asked")
        };
        let ended = std::panic::catch_unwind(|| all_while_made(100, make, |_| true));
        assert!(ended.is_err());
    }
}
