//! The headers of a request: deadline, trace context, tokens.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

/// The header with a service's token.
pub const SERVICE_HEADER: &str = "x-berth-service";
/// Timeout of the call.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// gRPC code of a response.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// W3C trace context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Id of the request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Token of the calling service.
pub(crate) const SERVICE: HeaderName = HeaderName::from_static(SERVICE_HEADER);

/// The timeout of the call, if there is a valid one.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// A timeout as a header, rounded up: the caller times out first.
pub(crate) fn timeout_value(left: Duration) -> HeaderValue {
    let millis = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
    let millis = millis.saturating_add(1).min(99_999_999);
    HeaderValue::try_from(format!("{millis}m")).unwrap_or(HeaderValue::from_static("1S"))
}

/// The person's token. `Err` if the header is not one bearer token.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = given.next() else {
        return Ok(None);
    };
    let (scheme, token) = first.to_str().map_err(|_| ())?.split_once(' ').ok_or(())?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    match (is_bearer, given.next()) {
        (true, None) => Ok(Some(token)),
        _ => Err(()),
    }
}

/// The trace context, if it is a valid one of version 00.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let hex = |part: &str, len| {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        part.len() == len && part.bytes().all(digit)
    };
    let some = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return None;
    };
    let valid = hex(trace, 32) && some(trace) && hex(span, 16) && some(span) && hex(flags, 2);
    valid.then(|| text.to_owned())
}

/// Id of the request, if the client sent a valid one.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let valid = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_timeout_is_read_as_grpc_specifies() {
        let read = |text| timeout(&headers(&TIMEOUT, &[text]));
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("1n"), Some(Duration::from_nanos(1)));
        for bad in ["", "S", "5", "5s", "-5S", "+5S", "999999999S", "5 S", "é"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let written = headers(&TIMEOUT, &[]);
        assert_eq!(timeout(&written), None);
        assert_eq!(timeout_value(Duration::from_millis(80)), "81m");
        assert_eq!(timeout_value(Duration::MAX), "99999999m");
    }

    #[test]
    fn a_bearer_token_is_one_or_none() {
        let read = |values: &[&str]| {
            bearer(&headers(&AUTHORIZATION, values)).map(|token| token.map(str::to_owned))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer a.b.c"]), Ok(Some("a.b.c".into())));
        assert_eq!(read(&["bearer a.b.c"]), Ok(Some("a.b.c".into())));
        for bad in [
            &["Bearer"][..],
            &["Bearer "],
            &["Basic YTpi"],
            &["a.b.c"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(read(bad), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn only_a_valid_trace_context_is_accepted() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            traceparent(&headers(&TRACEPARENT, &[good])).as_deref(),
            Some(good)
        );
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(traceparent(&headers(&TRACEPARENT, &[bad])), None, "{bad}");
        }
    }

    #[test]
    fn only_a_valid_request_id_is_accepted() {
        let read = |text: &str| request_id(&headers(&REQUEST_ID, &[text]));
        assert_eq!(read("abc-123").as_deref(), Some("abc-123"));
        for bad in ["", "a b", "a\tb", &"x".repeat(129)] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
