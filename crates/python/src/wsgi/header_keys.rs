//! Ready-made environ keys for the header names that clients and proxies send.

use http::HeaderName;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustc_hash::FxHashMap;

/// Names of which an interned key is kept; any other header's key is made anew for each request.
const COMMON: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "cdn-loop",
    "cf-connecting-ip",
    "cf-ipcountry",
    "cf-ray",
    "cf-visitor",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "from",
    "host",
    "hx-current-url",
    "hx-request",
    "hx-target",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "purpose",
    "range",
    "referer",
    "save-data",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-gpc",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-amzn-trace-id",
    "x-api-key",
    "x-client-ip",
    "x-correlation-id",
    "x-csrf-token",
    "x-csrftoken",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-http-method-override",
    "x-real-ip",
    "x-request-id",
    "x-request-start",
    "x-requested-with",
    "x-scheme",
];

/// The table from header names to environ keys.
pub(super) struct HeaderKeys(FxHashMap<HeaderName, Py<PyString>>);

impl HeaderKeys {
    pub(super) fn new(py: Python<'_>) -> Self {
        let keys = COMMON.iter().map(|name| {
            let key = PyString::intern(py, &environ_key(name)).unbind();
            (HeaderName::from_static(name), key)
        });
        Self(keys.collect())
    }

    /// The key of a common header.
    #[inline]
    pub(super) fn get(&self, name: &HeaderName) -> Option<&Py<PyString>> {
        self.0.get(name)
    }
}

/// The environ key of a header: `HTTP_` and the name in capitals, except for the two that CGI names otherwise.
pub(super) fn environ_key(name: &str) -> String {
    match name {
        "content-type" => "CONTENT_TYPE".to_owned(),
        "content-length" => "CONTENT_LENGTH".to_owned(),
        _ => {
            let mut key = String::with_capacity("HTTP_".len() + name.len());
            key.push_str("HTTP_");
            key.extend(name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() }));
            key
        }
    }
}
