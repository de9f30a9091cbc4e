//! Settings of the chapter "HTTP/2".

use super::Section::Http2;
use super::{Kind, Preset, Setting};

const NO_HTTP2: &str = "let a proxy in front speak HTTP/2 with clients, and HTTP/1.1 with this server";
const NO_MEANING: &str = "clients are served with HTTP/1.1";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("http_protocols", Http2, "The versions of HTTP to offer over TLS.")
        .flags(&["--http-protocols"])
        .commas(&["h1"])
        .refused(NO_HTTP2),
    Setting::new("http2_cleartext", Http2, "HTTP/2 without TLS.")
        .flags(&["--http2-cleartext"])
        .kind(Kind::Object, Preset::Text("off"))
        .refused(NO_HTTP2),
    Setting::new("http2_max_concurrent_streams", Http2, "Streams per connection.")
        .flags(&["--http2-max-concurrent-streams"])
        .int(1, i64::MAX, 100)
        .ignored(NO_MEANING),
    Setting::new("http2_initial_window_size", Http2, "Bytes of the first flow-control window.")
        .flags(&["--http2-initial-window-size"])
        .int(0, 2_147_483_647, 65_535)
        .ignored(NO_MEANING),
    Setting::new("http2_max_frame_size", Http2, "Bytes of a frame.")
        .flags(&["--http2-max-frame-size"])
        .int(16_384, 16_777_215, 16_384)
        .ignored(NO_MEANING),
    Setting::new("http2_max_header_list_size", Http2, "Bytes of a request's headers.")
        .flags(&["--http2-max-header-list-size"])
        .count(65_536)
        .ignored(NO_MEANING),
];
