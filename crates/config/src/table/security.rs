//! Settings of the chapter "Security": what one request may be at most, and how long a client may take.

use super::Section::Security;
use super::Setting;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "limit_request_line",
        Security,
        "Bytes that a request line may have; a longer one is answered with 414. At most 8,190, which 0 means \
         too.",
    )
    .flags(&["--limit-request-line"])
    .count(4094),
    Setting::new(
        "limit_request_fields",
        Security,
        "How many header fields a request may have; more are answered with 431. At most 32,768, which 0 means \
         too.",
    )
    .flags(&["--limit-request-fields"])
    .count(100),
    Setting::new(
        "limit_request_field_size",
        Security,
        "Bytes that one header field may have; a longer one is answered with 431. 0 means the default. The flag \
         has an underscore, as gunicorn's has.",
    )
    .flags(&["--limit-request-field_size"])
    .int(0, 1_073_741_824, 8190),
    Setting::new(
        "limit_request_body",
        Security,
        "Bytes that a request body may have; a longer one is answered with 413; 0 means no limit. gunicorn has \
         no such setting.",
    )
    .flags(&["--limit-request-body"])
    .count(0)
    .metavar("BYTES"),
    Setting::new(
        "header_timeout",
        Security,
        "Seconds in which a whole request head must arrive. gunicorn has no such setting.",
    )
    .flags(&["--header-timeout"])
    .int(1, 31_536_000, 30)
    .metavar("SECONDS"),
    Setting::new(
        "body_timeout",
        Security,
        "Seconds for which a client may send nothing of a request body that it owes. gunicorn has no such \
         setting.",
    )
    .flags(&["--body-timeout"])
    .int(1, 31_536_000, 30)
    .metavar("SECONDS"),
    Setting::new(
        "body_rate",
        Security,
        "Bytes per second that the body of a request to a WSGI app must bring at least, measured over spans of \
         `body_timeout`, so that nobody can keep a connection by sending a byte now and then; 0 means that any \
         rate will do. gunicorn has no such setting.",
    )
    .flags(&["--body-rate"])
    .int(0, 1_073_741_824, 500)
    .metavar("BYTES"),
    Setting::new(
        "write_timeout",
        Security,
        "Seconds for which a client may take nothing of its response; one that reads slowly is waited for. Its system may \
         take some hundred kilobytes at a time, so a few seconds are too short for slow clients. gunicorn has no such setting.",
    )
    .flags(&["--write-timeout"])
    .int(1, 31_536_000, 60)
    .metavar("SECONDS"),
    Setting::new(
        "require_host",
        Security,
        "Refuse HTTP/1.1 requests without a Host header with a 400, as RFC 9112 section 3.2 demands. gunicorn \
         accepts them and has no such setting.",
    )
    .flags(&["--require-host"])
    .switch(),
    Setting::new(
        "real_ip_header",
        Security,
        "The header in which a trusted peer (`forwarded_allow_ips`) tells the client's address, such as \
         X-Forwarded-For, X-Real-IP or Forwarded (RFC 7239). The address becomes REMOTE_ADDR and the access log's \
         `%(h)s`; what is no address leaves the peer's. A name with `_` counts only if `forwarder_headers` lists \
         it or `header_map` is `dangerous`: others are dropped before. gunicorn has no such setting.",
    )
    .flags(&["--real-ip-header"])
    .metavar("NAME"),
    Setting::new(
        "real_ip_hops",
        Security,
        "How many proxies add to `real_ip_header`: the client's address is that many from the right. With too high \
         a number clients can forge their address, with too low a one they share a proxy's.",
    )
    .flags(&["--real-ip-hops"])
    .int(1, 64, 1),
];
