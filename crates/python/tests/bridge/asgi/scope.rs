//! Every key of the scopes, its type, and how its value is made.

use ferricorn_config::Lifespan;
use ferricorn_protocol::{Request, Scheme};
use ferricorn_python::asgi::Calling;
use http::{Method, Version};

use super::client::handshake;
use super::{Ended, run, run_with, settings};
use crate::support::{get, unix, with_headers};

const KEEPER: &str = "
async def app(scope, receive, send):
    global kept
    kept = scope
    if scope['type'] == 'http':
        await respond(send)
    else:
        await send({'type': 'websocket.close'})
";

/// What the application is called with for the request.
fn scope_of(request: Request) -> Ended {
    below("", request)
}

/// The same under a root path.
fn below(root_path: &str, request: Request) -> Ended {
    let mut settings = settings();
    root_path.clone_into(&mut settings.root_path);
    run_with((settings, Calling::Single), KEEPER, |site| async move {
        site.respond(request).await;
    })
}

#[test]
fn a_plain_get_has_every_key() {
    let mut request = with_headers(get("/a/b?c=d&e=%20"), &[("host", b"shop.example"), ("x-a", b"\xfc")]);
    request.head.headers.append("x-a", "2".parse().unwrap());
    let kept = scope_of(request);
    for (key, value) in [
        ("type", "'http'"),
        ("asgi", "{'version': '3.0', 'spec_version': '2.5'}"),
        ("http_version", "'1.1'"),
        ("method", "'GET'"),
        ("scheme", "'http'"),
        ("path", "'/a/b'"),
        ("raw_path", "b'/a/b'"),
        ("query_string", "b'c=d&e=%20'"),
        ("root_path", "''"),
        ("headers", r"[(b'host', b'shop.example'), (b'x-a', b'\xfc'), (b'x-a', b'2')]"),
        ("client", "('192.0.2.7', 51234)"),
        ("server", "('127.0.0.1', 8000)"),
    ] {
        assert_eq!(kept.eval(&format!("kept[{key:?}]")), value, "{key}");
    }
    assert_eq!(
        kept.eval("sorted(kept['extensions'])"),
        "['http.response.early_hint', 'http.response.informational']"
    );
    assert_eq!(
        kept.eval("[type(extension) for extension in kept['extensions'].values()] == [dict] * 2"),
        "True"
    );
    assert_eq!(kept.eval("type(kept), {type(key) for key in kept}"), "(<class 'dict'>, {<class 'str'>})");
    assert_eq!(kept.eval("'state' in kept or 'subprotocols' in kept"), "False");
}

#[test]
fn a_handshake_has_every_key() {
    let request = with_headers(handshake("/chat?room=1", &["a", "b"]), &[("host", b"shop.example")]);
    let kept = scope_of(request);
    for (key, value) in [
        ("type", "'websocket'"),
        ("asgi", "{'version': '3.0', 'spec_version': '2.5'}"),
        ("http_version", "'1.1'"),
        ("scheme", "'ws'"),
        ("path", "'/chat'"),
        ("raw_path", "b'/chat'"),
        ("query_string", "b'room=1'"),
        ("root_path", "''"),
        ("headers", "[(b'host', b'shop.example')]"),
        ("client", "('192.0.2.7', 51234)"),
        ("server", "('127.0.0.1', 8000)"),
        ("subprotocols", "['a', 'b']"),
        ("extensions", "{'websocket.http.response': {}}"),
    ] {
        assert_eq!(kept.eval(&format!("kept[{key:?}]")), value, "{key}");
    }
    assert_eq!(kept.eval("'method' in kept or 'state' in kept"), "False");
    assert_eq!(scope_of(handshake("/", &[])).eval("kept['subprotocols']"), "[]");
}

#[test]
fn the_scheme_is_that_of_the_client() {
    for (mut request, scheme) in [(get("/"), "'https'"), (handshake("/", &[]), "'wss'")] {
        request.scheme = Scheme::Https;
        assert_eq!(scope_of(request).eval("kept['scheme']"), scheme);
    }
}

#[test]
fn the_method_is_upper_case_and_the_version_that_of_the_client() {
    for method in ["POST", "HEAD", "OPTIONS", "PURGE"] {
        let mut request = get("/");
        request.head.method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(scope_of(request).eval("kept['method']"), format!("'{method}'"));
    }
    let mut old = get("/");
    old.head.version = Version::HTTP_10;
    assert_eq!(scope_of(old).eval("kept['http_version']"), "'1.0'");
}

#[test]
fn paths_are_decoded_to_text_and_kept_raw_beside() {
    for (target, path, raw) in [
        ("/caf%C3%A9", "'/café'", "b'/caf%C3%A9'"),
        ("/a%2Fb%20c", "'/a/b c'", "b'/a%2Fb%20c'"),
        ("/%zz/%4", "'/%zz/%4'", "b'/%zz/%4'"),
        ("/%ff", "'/\u{fffd}'", "b'/%ff'"),
        ("/%f0%9f%98%80", "'/😀'", "b'/%f0%9f%98%80'"),
        ("*", "'*'", "b'*'"),
        ("//a//b/../c", "'//a//b/../c'", "b'//a//b/../c'"),
    ] {
        let mut request = get("/");
        request.raw_target = Some(target.into());
        let kept = scope_of(request);
        assert_eq!(kept.eval("kept['path']"), path, "{target}");
        assert_eq!(kept.eval("kept['raw_path']"), raw, "{target}");
        assert_eq!(kept.eval("kept['query_string']"), "b''", "{target}");
    }
    let mut bytes = get("/");
    bytes.raw_target = Some((&b"/caf\xc3\xa9/\xff?\xfe=1#f"[..]).into());
    let kept = scope_of(bytes);
    assert_eq!(kept.eval("kept['path']"), "'/café/\u{fffd}'");
    assert_eq!(kept.eval("kept['raw_path']"), r"b'/caf\xc3\xa9/\xff'");
    assert_eq!(kept.eval("kept['query_string']"), r"b'\xfe=1'");
}

#[test]
fn an_absolute_target_leaves_its_path() {
    let mut request = get("/");
    request.raw_target = Some("http://shop.example/a%20b?c#d".into());
    let kept = scope_of(request);
    assert_eq!(
        kept.eval("kept['path'], kept['raw_path'], kept['query_string']"),
        "('/a b', b'/a%20b', b'c')"
    );
}

#[test]
fn the_path_begins_with_the_root_path_whether_the_proxy_took_it_off_or_not() {
    for (target, path) in [
        ("/shop/cart", "('/shop', '/shop/cart', b'/shop/cart')"),
        ("/cart", "('/shop', '/shop/cart', b'/shop/cart')"),
        ("/shop", "('/shop', '/shop', b'/shop')"),
        ("/shopping", "('/shop', '/shop/shopping', b'/shop/shopping')"),
        ("/", "('/shop', '/shop/', b'/shop/')"),
        ("/a%20b", "('/shop', '/shop/a b', b'/shop/a%20b')"),
    ] {
        for request in [get(target), handshake(target, &[])] {
            let kept = below("/shop", request);
            assert_eq!(kept.eval("kept['root_path'], kept['path'], kept['raw_path']"), path, "{target}");
        }
    }
}

#[test]
fn a_unix_socket_has_a_path_and_no_client_but_one_that_a_proxy_tells() {
    let mut request = get("/");
    request.connection = unix();
    let kept = scope_of(request);
    assert_eq!(kept.eval("kept['server'], kept['client']"), "(('/run/site.sock', None), None)");
    let mut told = get("/");
    told.connection = unix();
    told.client = Some([198, 51, 100, 1].into());
    assert_eq!(scope_of(told).eval("kept['client']"), "('198.51.100.1', 0)");
}

#[test]
fn the_client_is_the_one_that_the_proxy_tells() {
    for mut request in [get("/"), handshake("/", &[])] {
        request.client = Some("2001:db8::1".parse().unwrap());
        assert_eq!(scope_of(request).eval("kept['client']"), "('2001:db8::1', 0)");
    }
}

#[test]
fn trailers_are_offered_to_those_who_take_them() {
    for (te, offered) in [
        (&b"trailers"[..], "True"),
        (b"gzip;q=0.5, TRAILERS", "True"),
        (b"gzip", "False"),
        (b"\xff", "False"),
    ] {
        let kept = scope_of(with_headers(get("/"), &[("te", te)]));
        assert_eq!(kept.eval("'http.response.trailers' in kept['extensions']"), offered, "{te:?}");
        assert_eq!(kept.eval("'http.response.early_hint' in kept['extensions']"), "True");
    }
}

#[test]
fn what_an_app_adds_to_its_scope_is_gone_at_the_next_request() {
    let code = "
async def app(scope, receive, send):
    say(sorted(scope.keys() & {'left', 'user'}))
    scope['left'] = scope['user'] = scope['path'] = 'behind'
    await respond(send)
";
    run(code, |site| async move {
        let (first, mut second) = (get("/"), get("/"));
        second.connection = first.connection.clone();
        for request in [first, second, get("/")] {
            site.respond(request).await;
            assert_eq!(site.heard().await, "[]");
        }
    });
}

#[test]
fn the_state_of_the_lifespan_is_copied_for_each_request() {
    let code = "
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        scope['state'].update(pool='pool', seen=[])
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        say(scope['state'])
        return await send({'type': 'lifespan.shutdown.complete'})
    scope['state']['seen'].append(scope['type'])
    say(scope['state'])
    scope['state']['own'] = 1
    if scope['type'] == 'http':
        await respond(send)
    else:
        await send({'type': 'websocket.close'})
";
    let mut settings = settings();
    settings.lifespan = Lifespan::On;
    run_with((settings, Calling::Single), code, |site| async move {
        site.startup().await.unwrap();
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "{'pool': 'pool', 'seen': ['http']}");
        site.respond(handshake("/", &[])).await;
        assert_eq!(site.heard().await, "{'pool': 'pool', 'seen': ['http', 'websocket']}");
        site.shutdown().await;
        assert_eq!(site.heard().await, "{'pool': 'pool', 'seen': ['http', 'websocket']}");
    });
}
