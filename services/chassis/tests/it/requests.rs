//! Fields of requests: page tokens, time zones, violations.

use chassis::{
    Violations,
    base::{page, time::zone},
};
use proptest::prelude::*;

#[test]
fn only_iana_names_are_time_zones() {
    let name = |name: &str| zone(name).and_then(|zone| zone.iana_name().map(str::to_owned));
    assert_eq!(name("asia/SEOUL").as_deref(), Some("Asia/Seoul"));
    assert_eq!(name("UTC").as_deref(), Some("UTC"));
    for unknown in [
        "",
        "Etc/Unknown",
        "Mars/Olympus",
        "/etc/passwd",
        "UTC\0",
        "+02:00",
    ] {
        assert_eq!(name(unknown), None, "{unknown:?}");
    }
}

#[test]
fn a_full_page_has_a_next_one() {
    let last = |row: &i32| page::token([&row.to_string()]);
    assert_eq!(
        page::cut(vec![1, 2, 3], 3, last),
        (vec![1, 2, 3], String::new())
    );
    assert_eq!(
        page::cut(vec![1, 2, 3], 2, last),
        (vec![1, 2], page::token(["2"]))
    );
    assert_eq!(page::cut(Vec::new(), 2, last), (vec![], String::new()));
}

#[test]
fn an_error_fits_into_headers() {
    let mut violations = Violations::new();
    for index in 0..10_000 {
        violations.add(
            &format!("room.blackouts[{index}].start_date"),
            "must be a full date",
        );
    }
    let status = violations.check(Some(())).unwrap_err();
    assert!(status.message().len() + status.details().len() < 8_000);
}

#[test]
fn the_first_page_needs_no_token() {
    let mut violations = Violations::new();
    assert_eq!(violations.page_token::<2>(""), None);
    assert!(violations.is_empty());
}

proptest! {
    #[test]
    fn a_token_contains_its_key(a in "[^\0]{0,200}", b in "[^\0]{0,36}") {
        let mut violations = Violations::new();
        prop_assert_eq!(violations.page_token(&page::token([&a, &b])), Some([a, b]));
        prop_assert!(violations.is_empty());
    }

    #[test]
    fn other_text_is_not_a_token(text in ".{1,80}") {
        let mut violations = Violations::new();
        prop_assert_eq!(violations.page_token::<2>(&text), None);
        prop_assert!(!violations.is_empty());
        prop_assert_eq!(violations.page_token::<3>(&page::token(["a", "b"])), None);
        prop_assert_eq!(violations.page_token::<1>(&page::token(["a\0"])), None);
    }
}
