//! The behaviour of the simulated provider. The token of the payment method determines it, so that every case can be tried:
//!
//! | token | what happens |
//! |---|---|
//! | `tok_approved` | charged |
//! | `tok_declined` | declined, `INSUFFICIENT_FUNDS` |
//! | `tok_timeout_after` | charged, but the first response is lost |
//! | `tok_timeout_before` | the first request is lost, the second charges |
//! | `tok_slow`, `tok_slow_N` | charged at once, but the first response takes a second, or `N` milliseconds (at most a minute) |
//! | `tok_down`, `tok_down_N` | the provider does not respond to requests for this payment, for ever or the first `N` times |
//! | `tok_refund_fails_twice`, `tok_refund_fails_N` | charged; the first two, or `N`, requests to refund are lost |
//! | anything else | declined, `INVALID_METHOD` |

use std::time::Duration;

use crate::domain::Method;

/// The behaviour for a payment method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// The reason of a decline, if it declines.
    pub(crate) declines: Option<&'static str>,
    /// The number of requests that are lost before they have an effect.
    pub(crate) down: u32,
    /// Whether the response to the first charge is lost.
    pub(crate) loses_answer: bool,
    /// The delay of the response to the first charge.
    pub(crate) slow: Duration,
    /// The number of refund requests that are lost.
    pub(crate) refund_fails: u32,
}

const LONGEST: Duration = Duration::from_mins(1);

impl Script {
    /// Parses the token.
    pub(crate) fn of(method: &Method) -> Self {
        let token = method.token();
        let plain = Self::default();
        let number = |prefix: &str| token.strip_prefix(prefix)?.parse::<u32>().ok();
        match token {
            "tok_approved" => plain,
            "tok_declined" => plain.declining("INSUFFICIENT_FUNDS"),
            "tok_timeout_after" => Self {
                loses_answer: true,
                ..plain
            },
            "tok_timeout_before" => Self { down: 1, ..plain },
            "tok_slow" => plain.slow(1000),
            "tok_down" => Self {
                down: u32::MAX,
                ..plain
            },
            "tok_refund_fails_twice" => Self {
                refund_fails: 2,
                ..plain
            },
            _ => {
                if let Some(down) = number("tok_down_") {
                    Self { down, ..plain }
                } else if let Some(millis) = number("tok_slow_") {
                    plain.slow(millis)
                } else if let Some(refund_fails) = number("tok_refund_fails_") {
                    Self {
                        refund_fails,
                        ..plain
                    }
                } else {
                    plain.declining("INVALID_METHOD")
                }
            }
        }
    }

    fn declining(self, reason: &'static str) -> Self {
        Self {
            declines: Some(reason),
            ..self
        }
    }

    fn slow(self, millis: u32) -> Self {
        Self {
            slow: Duration::from_millis(millis.into()).min(LONGEST),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(token: &str) -> Script {
        Script::of(&Method::new(token.into()))
    }

    #[test]
    fn a_token_determines_the_behaviour() {
        assert_eq!(script("tok_approved"), Script::default());
        assert_eq!(script("tok_declined").declines, Some("INSUFFICIENT_FUNDS"));
        assert!(script("tok_timeout_after").loses_answer);
        assert_eq!(script("tok_timeout_before").down, 1);
        assert_eq!(script("tok_slow").slow, Duration::from_secs(1));
        assert_eq!(script("tok_slow_30").slow, Duration::from_millis(30));
        assert_eq!(script("tok_slow_4000000000").slow, LONGEST);
        assert_eq!(script("tok_down").down, u32::MAX);
        assert_eq!(script("tok_down_3").down, 3);
        assert_eq!(script("tok_refund_fails_twice").refund_fails, 2);
        assert_eq!(script("tok_refund_fails_5").refund_fails, 5);
    }

    #[test]
    fn an_unknown_token_is_declined() {
        for token in ["", "visa", "tok_slow_x", "tok_down_-1", "tok_approved "] {
            assert_eq!(script(token).declines, Some("INVALID_METHOD"), "{token}");
        }
    }
}
