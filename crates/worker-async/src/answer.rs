//! Responses of the server itself: errors, each sorted by who is to blame.

use bytes::Bytes;
use ferricorn_protocol::{Head, Response, ResponseBody};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// A short page that says what the status means, and closes the connection.
pub(crate) fn error(status: StatusCode, detail: &str) -> Box<Response> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<html>\n  <head>\n    <title>{reason}</title>\n  </head>\n  <body>\n    <h1>{reason}</h1>\n    <p>{detail}</p>\n  \
         </body>\n</html>\n"
    );
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let head = Head { status, reason: None, headers };
    Box::new(Response::new(head, ResponseBody::Full(Bytes::from(page))))
}
