//! The opening handshake (RFC 6455 section 4.2): what a request must say, and the head that consents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferricorn_protocol::{AppFault, Head, Offer};
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sha1_smol::Sha1;

use super::extension::{self, Agreed};

/// The one version of the protocol.
pub(crate) const VERSION: HeaderValue = HeaderValue::from_static("13");

/// What the server adds to the key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request for a WebSocket that has met the rules.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: HeaderValue,
    subprotocols: Vec<String>,
    deflate: Option<Agreed>,
}

/// Why a request for a WebSocket is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotMet {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The rule.
    pub(crate) why: &'static str,
}

impl Handshake {
    /// Holds a request of HTTP/1.1 that names the protocol in its Upgrade field, and that field in Connection, against the
    /// rules for the others.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn read(head: &Parts, has_body: bool, deflate: bool) -> Result<Self, NotMet> {
        let headers = &head.headers;
        if head.method != Method::GET {
            return Err(bad("a WebSocket is asked for with another method than GET"));
        }
        if has_body {
            return Err(bad("the request for a WebSocket has a body"));
        }
        if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
            let why = "the Sec-WebSocket-Version header is not 13";
            return Err(NotMet { status: StatusCode::UPGRADE_REQUIRED, why });
        }
        let Some(key) = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())) else {
            return Err(bad("the Sec-WebSocket-Key header is not one key of 16 bytes"));
        };
        let subprotocols = subprotocols(headers)?;
        let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
        let agreed = extension::agree(offers)
            .map_err(|extension::Malformed| bad("the Sec-WebSocket-Extensions header is not valid"))?;
        Ok(Self { accept: accept(key.as_bytes()), subprotocols, deflate: agreed.filter(|_| deflate) })
    }

    /// What the app is offered.
    pub(crate) fn offer(&self) -> Offer {
        Offer { subprotocols: self.subprotocols.clone() }
    }

    /// The extension to be used.
    pub(crate) fn deflate(&self) -> Option<Agreed> {
        self.deflate
    }

    /// Makes the app's head that of a 101. What the app says of the handshake itself does not count; if it chose a
    /// subprotocol that it cannot choose, that is its fault, and the client gets none.
    pub(crate) fn accept(&self, head: &mut Head) -> Result<(), AppFault> {
        let headers = &mut head.headers;
        for name in [
            SEC_WEBSOCKET_ACCEPT,
            SEC_WEBSOCKET_EXTENSIONS,
            SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_VERSION,
            CONTENT_LENGTH,
            TRAILER,
            TRANSFER_ENCODING,
        ] {
            headers.remove(name);
        }
        let chosen = self.check_subprotocol(headers);
        if chosen.is_err() {
            headers.remove(SEC_WEBSOCKET_PROTOCOL);
        }
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        head.reason = None;
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(agreed) = self.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreed.answer());
        }
        chosen
    }

    fn check_subprotocol(&self, headers: &HeaderMap) -> Result<(), AppFault> {
        let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(()),
            (Some(one), None) if self.subprotocols.iter().any(|offered| one == offered.as_str()) => Ok(()),
            (Some(one), None) => Err(AppFault::new(format!(
                "the app chose the subprotocol {one:?}, which the client did not offer; none is used"
            ))),
            (Some(_), Some(_)) => Err(AppFault::new("the app chose more than one subprotocol; none is used")),
        }
    }
}

fn bad(why: &'static str) -> NotMet {
    NotMet { status: StatusCode::BAD_REQUEST, why }
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The elements of a field that is a list, in all its lines; empty ones are left out (RFC 9110 section 5.6.1).
fn lists<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lines
        .flat_map(|line| line.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|one| !one.is_empty())
}

/// Whether it is the base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

fn subprotocols(headers: &HeaderMap) -> Result<Vec<String>, NotMet> {
    lists(headers, &SEC_WEBSOCKET_PROTOCOL)
        .map(|name| {
            let token = name.iter().all(|&byte| extension::is_token(byte));
            let name = std::str::from_utf8(name).ok().filter(|_| token);
            name.map(str::to_owned).ok_or(bad("the Sec-WebSocket-Protocol header is not a list of tokens"))
        })
        .collect()
}

/// Proves that the key was read (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    let text = STANDARD.encode(hash.digest().bytes());
    HeaderValue::try_from(text).expect("base64 has only the characters of a field value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_rfcs_example() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_the_base64_of_16_bytes() {
        for (key, good) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("AQIDBAUGBwgJCgsMDQ4PEA==", true),
            ("", false),
            ("dGhlIHNhbXBsZSBub25jZQ", false),
            ("dGhlIHNhbXBsZSBub25jZTE=", false),
            ("dGhlIHNhbXBsZSBub24=", false),
            ("dGhlIHNhbXBsZSBub25j!Q==", false),
            ("dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==", false),
        ] {
            assert_eq!(is_key(key.as_bytes()), good, "{key}");
        }
    }
}
