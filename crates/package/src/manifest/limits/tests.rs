//! The table is whole, and the document for authors says what it says.

use super::*;

#[test]
fn each_limit_stands_at_its_own_place_with_bounds_in_order() {
    for (place, limit) in LIMITS.iter().enumerate() {
        assert_eq!(limit.name as usize, place, "{limit}");
        assert!(limit.least <= limit.default && limit.default <= limit.ceiling, "{limit}");
        assert!(
            limit.reason.len() > 20 && limit.sentence(limit.default).contains(&limit.say(limit.default)),
            "{limit}"
        );
    }
}

#[test]
fn the_document_for_authors_has_every_limit_with_its_figures() {
    let document = include_str!("../../../../../docs/plugins/limits.md");
    for limit in &LIMITS {
        let [least, default, most] = [limit.least, limit.default, limit.ceiling].map(|value| limit.say(value));
        let row = format!("| `{}` | {default} | {least} to {most} |", limit.spelling());
        assert!(document.contains(&row), "docs/plugins/limits.md has no row that begins {row}");
    }
}

#[test]
fn a_grant_holds_within_the_ceiling_and_nothing_holds_the_default() {
    let over = Permission::Limit { name: LimitName::Timers, value: u64::MAX };
    let set = LimitSet::granted(&[over, Permission::Limit { name: LimitName::CpuShare, value: 80 }]);
    assert_eq!(set.get(LimitName::Timers), 8_192);
    assert_eq!(set.get(LimitName::CpuShare), 80);
    assert_eq!(set.get(LimitName::Mailbox), LimitName::Mailbox.limit().default);
}

#[test]
fn values_out_of_bounds_and_of_the_wrong_kind_name_the_field() {
    let check = |text: &str, expected: &str| {
        let asked: Result<Asked, _> = serde_json::from_str(text);
        let said = match asked {
            Ok(asked) => validate("limits", &asked).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match said {
            Ok(()) => assert_eq!("fits", expected, "{text}"),
            Err(said) => assert!(said.contains(expected), "{text}: {said}"),
        }
    };
    check(r#"{ "timers": 1000, "logPerMinute": "2 MiB", "cpuShare": 100 }"#, "fits");
    check(r#"{ "timers": 9000 }"#, "limits.timers: 9000 is not between 16 and 8192");
    check(r#"{ "turnTime": 60000 }"#, "limits.turnTime: 60 s is not between 100 ms and 30 s");
    check(r#"{ "logPerTurn": 100 }"#, "limits.logPerTurn: is a size");
    check(r#"{ "turnTime": "5 MiB" }"#, "limits.turnTime: is a number of milliseconds");
    check(r#"{ "timers": -1 }"#, "-1 is no limit");
    check(r#"{ "everything": 1 }"#, "unknown variant `everything`, expected one of `startMemory`");
}
