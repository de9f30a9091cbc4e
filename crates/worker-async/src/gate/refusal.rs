//! What the gate answers to a request that it does not let through.

use std::time::SystemTime;

use http::StatusCode;

/// A refusal: the status that the client gets, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// What was wrong, for the log and for the answer. It never repeats bytes of the client.
    pub(crate) why: &'static str,
}

impl Refusal {
    /// The head breaks a rule: 400.
    pub(super) const fn bad(why: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why }
    }

    /// The request line is too long: 414.
    pub(super) const fn line_too_long() -> Self {
        Self { status: StatusCode::URI_TOO_LONG, why: "the request line is longer than --limit-request-line" }
    }

    /// The fields are too many or too large: 431.
    pub(super) const fn fields_too_large(why: &'static str) -> Self {
        Self { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why }
    }

    /// The transfer coding is unknown: 501 (RFC 9112 section 6.1).
    pub(super) const fn unknown_coding() -> Self {
        Self { status: StatusCode::NOT_IMPLEMENTED, why: "the transfer coding is not supported" }
    }

    /// The expectation cannot be met: 417 (RFC 9110 section 10.1.1).
    pub(super) const fn expectation() -> Self {
        Self { status: StatusCode::EXPECTATION_FAILED, why: "the Expect header asks for something unknown" }
    }

    /// The head did not arrive in time: 408.
    pub(super) const fn timeout() -> Self {
        Self { status: StatusCode::REQUEST_TIMEOUT, why: "the request head did not arrive in time" }
    }

    /// The whole answer, head and body. The connection ends after it.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let reason = self.status.canonical_reason().unwrap_or("Error");
        let page = format!(
            "<html>\n<head><title>{reason}</title></head>\n<body><h1>{reason}</h1><p>{}.</p></body>\n</html>\n",
            self.why
        );
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut answer = format!(
            "HTTP/1.1 {} {reason}\r\nServer: ferricorn\r\nDate: {date}\r\nConnection: close\r\n\
             Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            self.status.as_u16(),
            page.len()
        );
        answer.push_str(&page);
        answer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_a_whole_response_that_closes() {
        let answer = String::from_utf8(Refusal::line_too_long().answer()).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\nServer: ferricorn\r\nDate: "), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", page.len())), "{head}");
        assert!(page.contains("<h1>URI Too Long</h1>") && page.contains("--limit-request-line"), "{page}");
    }
}
