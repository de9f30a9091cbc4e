//! The opening handshake: its rules one by one, what the app is offered, and what it may answer.

use ferricorn_protocol::ResponseBody;

use super::*;

#[test]
fn consent_is_the_rfcs_answer_with_the_apps_headers_and_without_those_that_are_the_servers() {
    let script = Script::echo();
    let consenting = script.clone();
    let server = Server::new(TestApp::in_task(move |_| {
        let headers = [
            ("x-app", "one"),
            ("sec-websocket-accept", "forged"),
            ("sec-websocket-extensions", "forged"),
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ];
        answer(head(200, &headers), consenting.consent())
    }));
    let mut client = server.client();
    client.send(request("").as_bytes());
    let head = client.read_head().to_ascii_lowercase();
    let lines: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
    let accept = format!("sec-websocket-accept: {}", ACCEPT.to_ascii_lowercase());
    assert_eq!(lines[0], "http/1.1 101 switching protocols");
    let mut rest = lines[1..].to_vec();
    rest.sort_unstable();
    assert_eq!(
        rest,
        ["", "connection: upgrade", &accept, "server: ferricorn", "upgrade: websocket", "x-app: one"]
    );
    client.send(&frame(FIN | TEXT, b"hello"));
    client.expect(FIN | TEXT, "hello");
}

#[test]
fn each_rule_of_the_handshake_has_its_refusal() {
    let script = Script::echo();
    let server = script.serve();
    let good = request("");
    let without = |line: &str| good.replace(line, "");
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (sent, status, why) in [
        (good.replace("GET", "POST"), 400, "another method than GET"),
        (without(&key), 400, "one key of 16 bytes"),
        (good.replace(&key, &format!("{key}{key}")), 400, "one key of 16 bytes"),
        (good.replace(KEY, "AQIDBAUGBwgJCgsMDQ4PEBE="), 400, "one key of 16 bytes"),
        (good.replace(KEY, "\u{e9}"), 400, "one key of 16 bytes"),
        (without(version), 426, "is not 13"),
        (good.replace(": 13", ": 8"), 426, "is not 13"),
        (good.replace(": 13", ": 13, 8"), 426, "is not 13"),
        (good.replace(version, &format!("{version}{version}")), 426, "is not 13"),
        (request("Sec-WebSocket-Protocol: caf\u{e9}\r\n"), 400, "not a list of tokens"),
        (request("Sec-WebSocket-Protocol: a, b c\r\n"), 400, "not a list of tokens"),
        (
            request("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: \"b\"\r\n"),
            400,
            "not a list of tokens",
        ),
        (request("Sec-WebSocket-Extensions: permessage-deflate;\r\n"), 400, "Extensions header is not valid"),
        (request("Content-Length: 2\r\n") + "ab", 400, "has a body"),
    ] {
        let response = server.exchange(sent.as_bytes());
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}\n{response}");
        assert!(response.contains(why), "{sent}\n{response}");
        let upgrades =
            response.contains("sec-websocket-version: 13") && response.contains("upgrade: websocket");
        assert_eq!(upgrades, status == 426, "{response}");
    }
    assert_eq!(script.words().sockets, 0, "a refused request came to the app");
    server.wait_until_empty();
}

#[test]
fn the_fields_are_lists_in_which_case_and_neighbours_do_not_matter() {
    let server = Script::echo().serve();
    for sent in [
        request("").replace("Upgrade: websocket", "upgrade: h2c,\tWebSocket"),
        request("").replace("Upgrade: websocket", "Upgrade: websocket/13"),
        request("").replace("Upgrade: websocket", "Upgrade: foo\r\nUpgrade: WEBSOCKET"),
        request("").replace("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
        request("").replace("Connection: Upgrade", "connection: keep-alive\r\nConnection: upgrade"),
        request("").replace("GET /chat", "GET http://a/chat"),
    ] {
        let mut client = server.client();
        client.send(sent.as_bytes());
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{sent}\n{head}");
    }
}

#[test]
fn what_asks_for_no_websocket_is_an_ordinary_request() {
    let server = Script::echo().serve();
    for sent in [
        request("").replace("Upgrade: websocket", "Upgrade: h2c"),
        request("").replace("Upgrade: websocket", "Upgrade: websockets, x/websocket"),
        request("").replace("HTTP/1.1", "HTTP/1.0"),
        request("").replace("Upgrade: websocket", "X-Upgrade: websocket"),
        // Upgrade is for the next server, and only if Connection says so.
        request("").replace("Connection: Upgrade\r\n", ""),
        request("").replace("Connection: Upgrade", "Connection: keep-alive"),
        request("").replace(
            "Connection: Upgrade",
            "Connection: upgrade-insecure, x upgrade\r\nX-Connection: upgrade",
        ),
        request("").replace("Connection: Upgrade", "Connection:").replace(KEY, "broken"),
    ] {
        let mut client = server.client();
        client.send(sent.as_bytes());
        let response = client.read_until("no WebSocket");
        assert!(response.starts_with("HTTP/1.1 200 ") || response.starts_with("HTTP/1.0 200 "), "{response}");
    }
}

#[test]
fn an_app_that_blocks_is_offered_nothing() {
    let server = Server::new(TestApp::new(|request| {
        assert!(request.websocket.is_none());
        full(request.head.headers["upgrade"].to_str().unwrap().to_owned())
    }));
    let broken = request("").replace(KEY, "broken");
    for sent in [request("Connection: close\r\n"), broken.replace("Upgrade\r\n", "close\r\n")] {
        let response = server.exchange(sent.as_bytes());
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nwebsocket"),
            "{response}"
        );
    }
}

#[test]
fn subprotocols_come_in_the_clients_order_and_one_that_was_not_offered_is_left_out() {
    let script = Script::echo();
    let choosing = script.clone();
    let server = Server::new(TestApp::in_task(move |request| {
        assert_eq!(subprotocols(&request), ["v2.chat", "v1", "x!"]);
        let choice: &[&str] = match request.head.uri.path() {
            "/none" => &[],
            "/offered" => &["v1"],
            "/other" => &["v3"],
            _ => &["v1", "v2.chat"],
        };
        let headers: Vec<_> = choice.iter().map(|name| ("sec-websocket-protocol", *name)).collect();
        let mut head = head(200, &[]);
        for (name, value) in headers {
            head.headers.append(name, value.parse().unwrap());
        }
        answer(head, choosing.consent())
    }));
    let lines = "Sec-WebSocket-Protocol: v2.chat,v1\r\nSec-WebSocket-Protocol: , x!\r\n";
    for (path, chosen) in [("/none", None), ("/offered", Some("v1")), ("/other", None), ("/both", None)] {
        let mut client = server.client();
        client.send(request(lines).replace("/chat", path).as_bytes());
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let line = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(line, chosen, "{path}");
    }
}

#[test]
fn any_other_answer_is_sent_as_it_is_and_the_connection_goes_on() {
    let server = Server::new(TestApp::in_task(|request| match request.websocket {
        Some(_) => answer(head(403, &[("x-why", "not you")]), ResponseBody::Full("denied".into())),
        None => full("served"),
    }));
    let mut client = server.client();
    for _ in 0..2 {
        client.send(request("").as_bytes());
        let response = client.read_until("denied");
        assert!(response.starts_with("HTTP/1.1 403 ") && response.contains("x-why: not you"), "{response}");
    }
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.read_until("served").starts_with("HTTP/1.1 200 "));
}

#[test]
fn consent_that_nobody_asked_for_is_a_fault_of_the_app() {
    let script = Script::default();
    let consenting = script.clone();
    let server = Server::new(TestApp::in_task(move |_| answer(head(200, &[]), consenting.consent())));
    let response = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    assert_eq!(script.end().0, 1006);
}
