//! What the gate answers to a request that it does not let through.

use std::time::SystemTime;

use http::StatusCode;

/// How much of the first line of a refused request is kept for the log, in bytes.
const LINE_KEPT: usize = 1024;

/// A refusal: the status that the client gets, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// What was wrong, for the log and for the answer. It never repeats bytes of the client.
    pub(crate) why: &'static str,
}

/// A refused request, for the books.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What was answered.
    pub(crate) refusal: Refusal,
    /// What is known of the request's first line, cut, as it was sent.
    pub(crate) line: Box<[u8]>,
    /// Bytes of the answer's body that were sent.
    pub(crate) bytes: u64,
}

/// The first line of what a client sent, without its end, cut.
#[cold]
pub(super) fn first_line(sent: &[u8]) -> Box<[u8]> {
    let sent = sent.strip_prefix(b"\r\n").unwrap_or(sent);
    let line = &sent[..memchr::memchr(b'\n', sent).unwrap_or(sent.len()).min(LINE_KEPT)];
    line.strip_suffix(b"\r").unwrap_or(line).into()
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

    /// The body of the answer.
    pub(super) fn page(&self) -> String {
        let reason = self.status.canonical_reason().unwrap_or("Error");
        format!(
            "<html>\n<head><title>{reason}</title></head>\n<body><h1>{reason}</h1><p>{}.</p></body>\n</html>\n",
            self.why
        )
    }

    /// The whole answer, its head and this page, of a server that calls itself so. The connection ends after it.
    pub(super) fn answer(&self, page: &str, server: Option<&str>) -> Vec<u8> {
        let reason = self.status.canonical_reason().unwrap_or("Error");
        let date = httpdate::fmt_http_date(SystemTime::now());
        let server = server.map(|server| format!("Server: {server}\r\n")).unwrap_or_default();
        let mut answer = format!(
            "HTTP/1.1 {} {reason}\r\n{server}Date: {date}\r\nConnection: close\r\n\
             Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            self.status.as_u16(),
            page.len()
        );
        answer.push_str(page);
        answer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_a_whole_response_that_closes() {
        let refusal = Refusal::line_too_long();
        let answer = String::from_utf8(refusal.answer(&refusal.page(), Some("ferricorn"))).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\nServer: ferricorn\r\nDate: "), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", page.len())), "{head}");
        assert!(page.contains("<h1>URI Too Long</h1>") && page.contains("--limit-request-line"), "{page}");
    }

    #[test]
    fn what_is_kept_of_a_line_is_bounded_and_has_no_end_of_line() {
        assert_eq!(*first_line(b""), *b"");
        assert_eq!(*first_line(b"GET / HT"), *b"GET / HT");
        assert_eq!(*first_line(b"\r\nGET\xff\r / HTTP/1.1\r\nA: b\r\n"), *b"GET\xff\r / HTTP/1.1");
        assert_eq!(*first_line(b"bare\nnext"), *b"bare");
        assert_eq!(first_line(&[b'x'; 5000]).len(), LINE_KEPT);
    }
}
