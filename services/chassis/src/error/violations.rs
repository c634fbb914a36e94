//! Collects everything that is wrong with a request and reports it at once.

use std::{fmt::Display, str::FromStr};

use berth::google::r#type as google;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    base::{
        money::Money,
        page,
        text::{has_too_many_marks, is_blank, is_direction_control, is_line_break},
        time,
        time::{Date, Time, Timestamp},
    },
    error::status::DOMAIN,
};

/// No more are reported: an error is sent in the headers of a response, and their size is limited.
const MAX: usize = 20;

/// Collects what is wrong with the fields of a request while it is being parsed.
///
/// A parser reads what is valid, adds a violation for what is not, and ends with [`Violations::check`].
#[derive(Debug, Default)]
pub struct Violations(Vec<(String, String)>);

impl Violations {
    /// No violations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a violation of a field.
    pub fn add(&mut self, field: &str, description: impl Into<String>) {
        if self.0.len() < MAX {
            self.0.push((field.into(), description.into()));
        }
    }

    /// Adds a violation of a field unless `ok`.
    pub fn require(&mut self, ok: bool, field: &str, description: impl Into<String>) {
        if !ok {
            self.add(field, description);
        }
    }

    /// Adds a violation of a field unless there is a value.
    fn given<T>(&mut self, field: &str, value: Option<T>, description: &str) -> Option<T> {
        self.require(value.is_some(), field, description);
        value
    }

    /// Whether there are no violations.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value if there are no violations, else all of them. A missing value without a violation is a bug, and also
    /// reported as an invalid request.
    pub fn check<T>(self, value: Option<T>) -> Result<T, Status> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.into()),
        }
    }

    /// Parses a field from text, for example an id.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse()
            .map_err(|error: T::Err| self.add(field, error.to_string()))
            .ok()
    }

    /// Checks text that others see: `min` to `max` characters, in lines. It must not be blank, and not deceive readers: no
    /// control characters but line breaks and tabs, none that change the direction of the text, no heaps of combining marks.
    pub fn text(&mut self, field: &str, text: String, min: usize, max: usize) -> Option<String> {
        let problem = if !(min..=max).contains(&text.chars().count()) {
            format!("must have {min} to {max} characters")
        } else if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            "must not contain control characters".to_owned()
        } else if text.contains(is_direction_control) {
            "must not contain characters that change the direction of text".to_owned()
        } else if has_too_many_marks(&text) {
            "must not contain so many combining marks".to_owned()
        } else if !text.is_empty() && is_blank(&text) {
            "must not be blank".to_owned()
        } else {
            return Some(text);
        };
        self.add(field, problem);
        None
    }

    /// Checks text that others see, like [`Violations::text`], on a single line.
    pub fn line(&mut self, field: &str, text: String, min: usize, max: usize) -> Option<String> {
        let text = self.text(field, text, min, max)?;
        let is_single_line = !text.contains(|c: char| c.is_control() || is_line_break(c));
        self.require(is_single_line, field, "must be a single line");
        is_single_line.then_some(text)
    }

    /// Checks that a number is within a range.
    pub fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        field: &str,
        value: T,
        min: T,
        max: T,
    ) -> Option<T> {
        if value < min || value > max {
            self.add(field, format!("must be {min} to {max}"));
            return None;
        }
        Some(value)
    }

    /// Parses an amount of money.
    pub fn money(&mut self, field: &str, money: Option<&google::Money>) -> Option<Money> {
        let money = self.given(field, money, "must be given")?;
        Money::try_from(money)
            .map_err(|error| self.add(field, error.to_string()))
            .ok()
    }

    /// Parses a date.
    pub fn date(&mut self, field: &str, date: Option<&google::Date>) -> Option<Date> {
        let date = date.and_then(time::date_from_proto);
        self.given(field, date, "must be a full date")
    }

    /// Parses an instant.
    pub fn timestamp(
        &mut self,
        field: &str,
        timestamp: Option<&prost_types::Timestamp>,
    ) -> Option<Timestamp> {
        let timestamp = timestamp.and_then(time::from_proto);
        let description = "must be a time between the years 1 and 9999";
        self.given(field, timestamp, description)
    }

    /// Parses a time of day; the default if it is missing.
    pub fn time_of_day(
        &mut self,
        field: &str,
        time: Option<&google::TimeOfDay>,
        default: Time,
    ) -> Option<Time> {
        let time = time.map_or(Some(default), time::time_of_day_from_proto);
        self.given(field, time, "must be a time of day")
    }

    /// Parses a page token: the sort key after which the page begins. None for the first page.
    pub fn page_token<const N: usize>(&mut self, token: &str) -> Option<[String; N]> {
        if token.is_empty() {
            return None;
        }
        let description = "must be the next_page_token of a page";
        self.given("page_token", page::parse(token), description)
    }

    /// Checks a page size: 0 means 20, at most 100.
    pub fn page_size(&mut self, size: i32) -> Option<i64> {
        self.range("page_size", size, 0, 100)
            .map(|size| if size == 0 { 20 } else { i64::from(size) })
    }
}

impl From<Violations> for Status {
    fn from(violations: Violations) -> Self {
        let mut details = ErrorDetails::with_error_info(
            "INVALID_REQUEST",
            DOMAIN,
            std::collections::HashMap::new(),
        );
        let mut message = String::from("invalid request");
        for (index, (field, description)) in violations.0.into_iter().enumerate() {
            message.push_str(if index == 0 { ": " } else { "; " });
            message.push_str(&field);
            message.push(' ');
            message.push_str(&description);
            details.add_bad_request_violation(field, description);
        }
        Status::with_error_details(Code::InvalidArgument, message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&mut Violations, &str, String, usize, usize) -> Option<String>;

    fn violation(check: Check, text: &str) -> Option<String> {
        let mut violations = Violations::new();
        let checked = check(&mut violations, "field", text.into(), 0, 20_000);
        assert_eq!(checked.is_none(), !violations.is_empty(), "{text:?}");
        let (field, problem) = violations.0.pop()?;
        assert_eq!(field, "field");
        Some(problem)
    }

    #[test]
    fn a_text_that_nobody_sees_or_that_deceives_is_refused() {
        for check in [Violations::text as Check, Violations::line] {
            for (text, problem) in [
                ("\u{200b}", "blank"),
                (" ", "blank"),
                ("\u{2800}\u{3164}", "blank"),
                ("a\u{202e}b", "direction"),
                ("\u{2066}a\u{2069}", "direction"),
                ("a\0", "control"),
                ("a\u{9b}", "control"),
            ] {
                let found = violation(check, text).unwrap();
                assert!(found.contains(problem), "{text:?}: {found}");
            }
            let flood = format!("a{}", "\u{301}".repeat(10_000));
            assert!(violation(check, &flood).unwrap().contains("marks"));
            for text in [
                "",
                "Ann",
                "مرحبا\u{200f}",
                "می\u{200c}خواهم",
                "👩\u{200d}🚀",
                "Tiếng Việt",
            ] {
                assert_eq!(violation(check, text), None, "{text:?}");
            }
        }
    }

    #[test]
    fn only_a_text_of_several_lines_has_line_breaks() {
        for text in ["a\nb", "a\r\nb", "a\tb", "a\u{2028}b", "a\u{2029}b"] {
            assert_eq!(violation(Violations::text, text), None, "{text:?}");
            let found = violation(Violations::line, text).unwrap();
            assert_eq!(found, "must be a single line");
        }
    }
}
