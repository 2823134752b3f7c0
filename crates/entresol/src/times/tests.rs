use super::*;

#[test]
fn times_are_distances() {
    let check = |seconds: i64, expected: &str| assert_eq!(between(1_000_000 + seconds * 1000, 1_000_000), expected);
    check(0, "now");
    check(-5, "5 s ago");
    check(89, "in 89 s");
    check(-600, "10 min ago");
    check(7200, "in 2 h");
    check(-864_000, "10 days ago");
    assert!(between(i64::MIN, i64::MAX).ends_with("days ago"));
}

#[test]
fn dates_are_read_and_written() {
    // Compared with `date -u -d … +%s`.
    for (text, seconds) in [
        ("1970-01-01", 0),
        ("2000-02-29", 951_782_400),
        ("2026-11-22T10:30", 1_795_343_400),
        ("2024-12-31 23:59:59Z", 1_735_689_599),
        ("2100-03-01", 4_107_542_400),
    ] {
        assert_eq!(date(text), Some(seconds * 1000), "{text}");
        let written = iso(seconds * 1000);
        assert_eq!(date(&written), Some(seconds * 1000), "{written}");
        assert!(written.starts_with(&text[..10]), "{written}");
    }
    assert_eq!(utc(1_795_343_400_000), "2026-11-22 10:30 UTC");
    // Every day of 800 years is itself again.
    for day in 0..292_194 {
        let (year, month, of_month) = civil(day);
        assert_eq!(days_before(year, month) + of_month - 1, day);
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "soon",
        "2026-02-30",
        "2026-13-01",
        "26-01-01",
        "2026-1-1",
        "7",
        "7 fortnights",
        "1969-01-01",
        "2026-01-01T24:00",
    ] {
        let error = past(text).expect_err(text).to_string();
        assert!(error.contains("`7d`"), "{error}");
    }
    let error = future("2020-01-01").expect_err("past").to_string();
    assert!(error.contains("passed already"), "{error}");
    assert_eq!(length("99999999999999999999d"), None);
}

#[test]
fn distances_count_from_now() {
    let day = past("1 day").expect("a time");
    assert!(now().abs_diff(day + DAY) < 60_000);
    let week = future("1w").expect("a time");
    assert!(now().abs_diff(week - 7 * DAY) < 60_000);
}
