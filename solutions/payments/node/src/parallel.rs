//! Work that does not depend on itself, on all cores.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
}
