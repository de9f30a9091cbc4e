//! The rules for request heads, resolved from the settings.

use ferricorn_config::{Grammar, Limits};

/// The longest target that `http::Uri` holds; above it hyper would answer by itself.
const MAX_LINE: usize = 65_534;
/// The longest name that `http::HeaderName` holds.
const MAX_FIELD: usize = 65_535;
/// How many fields `http::HeaderMap` takes in at once without a panic.
const MAX_FIELDS: usize = 16_384;
/// The longest head; hyper's read buffer takes 408 KiB.
const MAX_HEAD: usize = 384 * 1024;

/// How long and how many the parts of a head may be, and in what the grammar differs from gunicorn's default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadRules {
    /// Bytes of the request line, without its CRLF (as gunicorn counts).
    pub(super) line: usize,
    /// Header fields, and trailer fields.
    pub(super) fields: usize,
    /// Bytes of one field, its CRLF included (as gunicorn counts).
    pub(super) field_size: usize,
    /// Bytes of the whole head.
    pub(super) head: usize,
    /// Looked at only for a head that breaks a rule.
    pub(super) grammar: Grammar,
    /// Whether a request for a WebSocket is told from others.
    pub(super) websockets: bool,
    /// What refusals say in `Server`.
    pub(super) server: Option<&'static str>,
}

impl HeadRules {
    /// The rules that the limits ask for, as far as hyper can follow.
    pub(crate) fn new(limits: &Limits, grammar: Grammar) -> Self {
        let line = limits.request_line.min(MAX_LINE);
        let fields = limits.request_fields.min(MAX_FIELDS);
        let field_size = limits.request_field_size.min(MAX_FIELD);
        let sum = fields.saturating_mul(field_size).saturating_add(line).saturating_add(6);
        Self { line, fields, field_size, head: sum.min(MAX_HEAD), grammar, websockets: false, server: None }
    }

    /// The same rules for an app that may have WebSockets, or may not.
    pub(crate) fn with_websockets(self, websockets: bool) -> Self {
        Self { websockets, ..self }
    }

    /// The same rules for a server that calls itself so.
    pub(crate) fn with_server(self, server: Option<&'static str>) -> Self {
        Self { server, ..self }
    }
}

impl HeadRules {
    /// gunicorn's defaults, for tests and benchmarks.
    pub(super) fn standard() -> Self {
        Self::with(Grammar::default())
    }

    /// gunicorn's limits with this grammar.
    pub(super) fn with(grammar: Grammar) -> Self {
        let limits =
            Limits { request_line: 4094, request_fields: 100, request_field_size: 8190, request_body: None };
        Self::new(&limits, grammar)
    }
}
