use super::*;

/// KiB of this process that are locked, as the kernel counts them.
#[cfg(target_os = "linux")]
fn locked_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel's table");
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The pages of a secret, as numbers.
fn pages(locked: &Locked) -> std::ops::RangeInclusive<usize> {
    let (page, begin) = (region::page::size(), locked.get(0).as_ptr().addr());
    begin / page..=(begin + locked.len() * 32 - 1) / page
}

#[test]
fn no_page_is_shared() {
    let all: Vec<_> = [1, 2, 3, 126, 127, 128, 129, 200, 1].map(Locked::new).into_iter().collect();
    for (i, one) in all.iter().enumerate() {
        let memory = one.memory.as_ptr_range();
        let page = region::page::size();
        assert!(
            memory.start.addr().div_ceil(page) <= *pages(one).start(),
            "{} slots begin on a page of ours",
            one.len()
        );
        assert!(memory.end.addr() / page > *pages(one).end(), "{} slots end on a page of ours", one.len());
        for other in &all[..i] {
            assert!(pages(one).all(|page| !pages(other).contains(&page)));
        }
    }
}

#[test]
fn what_is_written_is_there_and_starts_as_zero() {
    let mut locked = Locked::new(3);
    assert!((0..3).all(|index| *locked.get(index) == [0; 32]));
    locked.get_mut(1).fill(7);
    assert_eq!((locked.get(0), locked.get(1), locked.get(2)), (&[0; 32], &[7; 32], &[0; 32]));
    assert_eq!(Locked::one(&[1; 20]).get(0)[..], [[1; 20].as_slice(), &[0; 12]].concat());
    assert!(Locked::new(0).holds());
    assert_eq!(format!("{locked:?}"), "[redacted]");
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_counts_the_pages_as_locked() {
    let before = locked_kib();
    let many: Vec<_> = (0..64).map(|_| Locked::new(1)).collect();
    if many.iter().all(Locked::holds) {
        // Other tests lock and unlock at the same time, a few pages each.
        let page = region::page::size() as u64 / 1024;
        assert!(locked_kib() >= before + 32 * page, "{} KiB before, {} KiB now", before, locked_kib());
    } else {
        // The limit is small here; then this must be the reason.
        let limits = std::fs::read_to_string("/proc/self/limits").expect("the kernel's table");
        let line = limits.lines().find(|line| line.starts_with("Max locked memory")).expect("a line");
        assert!(!line.contains("unlimited"), "memory could not be locked although there is no limit");
    }
}
