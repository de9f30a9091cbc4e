//! What proxies say of their clients: the PROXY protocol, and addresses in headers.

use ferricorn_config::{AllowList, ProxyProtocol, RealIp};

use super::app::{TestApp, full};
use super::{Server, body};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const GET: &[u8] = b"GET /peer HTTP/1.1\r\n\r\n";
const LAST: &[u8] = b"GET /peer HTTP/1.1\r\nConnection: close\r\n\r\n";

/// Says what the connection says of its client, or to `/client` who the client is.
fn peers() -> TestApp {
    TestApp::new(|request| {
        let connection = &request.connection;
        if request.target() == b"/client" {
            return full(format!("[{}]", request.client_ip().unwrap()));
        }
        let peer = connection.peer.unwrap();
        let protocol = connection.proxied.map_or("-", |proxied| proxied.protocol);
        let asked = connection.proxied.and_then(|proxied| proxied.destination);
        full(format!("[{peer} {protocol} {}]", asked.map_or("-".to_owned(), |asked| asked.to_string())))
    })
}

fn server(mode: ProxyProtocol) -> Server {
    Server::with(peers(), |settings| settings.trust.proxy_protocol = mode)
}

#[test]
fn the_address_holds_for_the_whole_connection() {
    let server = server(ProxyProtocol::Auto);
    let received = server.exchange(&[LINE, GET, GET, LAST].concat());
    let told = "192.0.2.1:56324 TCP4 198.51.100.2:443";
    assert_eq!(received.matches(told).count(), 3, "{received}");
    let mut client = server.client();
    for byte in LINE {
        client.send(&[*byte]);
    }
    for _ in 0..3 {
        client.send(GET);
        assert!(client.read_until_contains("]").contains(told));
    }
}

#[test]
fn version_2_is_understood_too() {
    let server = server(ProxyProtocol::V2);
    let header =
        [SIGNATURE, &[0x21, 0x11, 0, 15, 192, 0, 2, 9, 10, 0, 0, 1, 0, 80, 1, 187, 4, 0, 0]].concat();
    let received = server.exchange(&[&header, LAST].concat());
    assert_eq!(body(&received), "[192.0.2.9:80 TCP4 10.0.0.1:443]");
    // Version 1 is not expected here, and so is no request.
    assert!(server.exchange(&[LINE, LAST].concat()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_header_without_addresses_leaves_the_sockets() {
    let server = server(ProxyProtocol::Auto);
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    for (header, protocol) in [(b"PROXY UNKNOWN\r\n".as_slice(), "UNKNOWN"), (&local, "LOCAL"), (b"", "-")] {
        let received = server.exchange(&[header, LAST].concat());
        assert!(body(&received).starts_with("[127.0.0.1:"), "{received}");
        assert!(body(&received).ends_with(&format!(" {protocol} -]")), "{received}");
    }
}

#[test]
fn a_wrong_header_is_refused_and_nothing_behind_it_is_a_request() {
    let server = server(ProxyProtocol::Auto);
    for header in [
        b"PROXY TCP4 192.0.2.1\r\n".as_slice(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
        &[SIGNATURE, &[0x31, 0x11, 0, 0]].concat(),
        &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
        // Once is enough.
        &[LINE, LINE].concat(),
    ] {
        let received = server.exchange(&[header, GET].concat());
        assert!(received.starts_with("HTTP/1.1 400 "), "{received}");
        assert!(received.contains("\r\nConnection: close\r\n"), "{received}");
        assert!(!received.contains("[1"), "{received}");
    }
}

#[test]
fn only_its_peers_may_speak_it_and_others_may_go_without() {
    let server = Server::with(peers(), |settings| {
        settings.trust.proxy_protocol = ProxyProtocol::Auto;
        settings.trust.proxy_allow_ips = AllowList::Nets(vec!["10.0.0.0/8".parse().unwrap()]);
    });
    let received = server.exchange(&[LINE, GET].concat());
    assert!(received.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{received}");
    assert!(!received.contains("[1"), "{received}");
    assert!(body(&server.exchange(LAST)).ends_with(" - -]"));
}

#[test]
fn without_the_setting_it_is_no_request() {
    let server = server(ProxyProtocol::Off);
    assert!(server.exchange(&[LINE, LAST].concat()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_header_that_never_ends_has_the_time_of_a_request_head() {
    let server = Server::with(peers(), |settings| {
        settings.trust.proxy_protocol = ProxyProtocol::Auto;
        settings.deadlines.head = std::time::Duration::from_secs(1);
        // The first head has its own time, however short that of the others.
        settings.keepalive = std::time::Duration::ZERO;
    });
    let mut half = server.client();
    half.send(&LINE[..20]);
    let mut silent = server.client();
    let mut header = server.client();
    header.send(LINE);
    assert_eq!(half.read_to_end(), "");
    assert_eq!(silent.read_to_end(), "");
    assert_eq!(header.read_to_end(), "");
    assert!(body(&server.exchange(&[LINE, LAST].concat())).starts_with("[192.0.2.1:56324 "));
}

#[test]
fn a_trusted_peer_tells_the_clients_address() {
    let server = Server::with(peers(), |settings| {
        let header = http::HeaderName::from_static("x-forwarded-for");
        settings.trust.real_ip = Some(RealIp { header, hops: 2 });
    });
    let ask = |fields: &str| {
        server.exchange(format!("GET /client HTTP/1.1\r\n{fields}Connection: close\r\n\r\n").as_bytes())
    };
    for (fields, wanted) in [
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1\r\n", "[192.0.2.1]"),
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\n", "[192.0.2.1]"),
        ("X-Forwarded-For: [2001:db8::1]:80, 10.0.0.1\r\n", "[2001:db8::1]"),
        ("X-Forwarded-For: 10.0.0.1\r\n", "[127.0.0.1]"),
        ("X-Forwarded-For: unknown, 10.0.0.1\r\n", "[127.0.0.1]"),
        ("X_Forwarded_For: 192.0.2.1, 10.0.0.1\r\n", "[127.0.0.1]"),
        ("", "[127.0.0.1]"),
    ] {
        assert_eq!(body(&ask(fields)), wanted, "{fields}");
    }
}

#[test]
fn the_sockets_peer_is_trusted_and_not_the_one_that_it_introduces() {
    let server = Server::with(peers(), |settings| {
        settings.trust.proxy_protocol = ProxyProtocol::Auto;
        settings.trust.forwarded_allow_ips =
            AllowList::Nets(vec!["192.0.2.1".parse::<std::net::IpAddr>().unwrap().into()]);
        settings.trust.real_ip = Some(RealIp { header: http::HeaderName::from_static("x-real-ip"), hops: 1 });
    });
    let request = b"GET /client HTTP/1.1\r\nX-Real-IP: 6.6.6.6\r\nConnection: close\r\n\r\n";
    assert_eq!(body(&server.exchange(&[LINE, request].concat())), "[192.0.2.1]");
}
