//! Stands in for an app that could not be loaded, and shows a developer why.

use bytes::Bytes;
use ferricorn_protocol::{Answer, App, Drive, Head, LoadError, Request, Response, ResponseBody};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Answers each request with the failure.
pub(crate) struct FailedApp(Bytes);

impl FailedApp {
    pub(crate) fn new(error: &LoadError) -> Self {
        let details = error.traceback.as_deref().unwrap_or_default();
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>The app cannot be loaded</title></head>\n\
             <body><h1>The app cannot be loaded</h1>\n<p>{}</p>\n<pre>{}</pre>\n\
             <p>Mend the file and load this page again; the server reloads by itself.</p></body></html>\n",
            text(&error.message),
            text(details.trim_end())
        );
        Self(Bytes::from(page))
    }
}

impl App for FailedApp {
    fn drive(&self) -> Drive {
        Drive::Task
    }

    fn call(&self, _request: Box<Request>) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let head = Head { status: StatusCode::INTERNAL_SERVER_ERROR, reason: None, headers };
        Answer::Response(Box::new(Response::new(head, ResponseBody::Full(self.0.clone()))))
    }
}

/// Text as HTML shows it.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
