//! Every key of the environ, and how its value is made.

use std::sync::Arc;

use ferricorn_protocol::{Answer, Connection, Proxied, Scheme};
use http::{Method, Version};

use crate::support::{KEEPER, Site, get, unix, with_headers, worker};

#[test]
fn a_plain_get_has_the_keys_of_pep_3333_and_of_gunicorn() {
    let site = Site::keeping_environ();
    site.respond(with_headers(get("/a/b?c=d"), &[("host", b"shop.example")]));
    for (key, value) in [
        ("REQUEST_METHOD", "'GET'"),
        ("SCRIPT_NAME", "''"),
        ("PATH_INFO", "'/a/b'"),
        ("QUERY_STRING", "'c=d'"),
        ("RAW_URI", "'/a/b?c=d'"),
        ("SERVER_PROTOCOL", "'HTTP/1.1'"),
        ("SERVER_NAME", "'127.0.0.1'"),
        ("SERVER_PORT", "'8000'"),
        ("REMOTE_ADDR", "'192.0.2.7'"),
        ("REMOTE_PORT", "'51234'"),
        ("HTTP_HOST", "'shop.example'"),
        ("wsgi.version", "(1, 0)"),
        ("wsgi.url_scheme", "'http'"),
        ("wsgi.multithread", "False"),
        ("wsgi.multiprocess", "False"),
        ("wsgi.run_once", "False"),
        ("wsgi.input_terminated", "True"),
        ("CONTENT_TYPE", "absent"),
        ("CONTENT_LENGTH", "absent"),
    ] {
        assert_eq!(site.variable(key), value, "{key}");
    }
    assert_eq!(site.eval("environ['SERVER_SOFTWARE'].startswith('gunicorn/')"), "True");
    assert_eq!(site.eval("environ['wsgi.input'].read()"), "b''");
    assert_eq!(site.eval("[type(key).__name__ for key in environ if type(key) is not str]"), "[]");
    assert_eq!(site.eval("type(environ).__name__"), "'dict'");
}

#[test]
fn the_environ_tells_the_truth_about_the_worker() {
    let info = ferricorn_protocol::WorkerInfo { multiprocess: true, app_threads: 4, ..worker() };
    let site = Site::with(KEEPER, "", &info);
    site.get();
    assert_eq!(site.variable("wsgi.multithread"), "True");
    assert_eq!(site.variable("wsgi.multiprocess"), "True");
}

#[test]
fn paths_are_decoded_to_latin_1_and_kept_raw_beside() {
    let site = Site::keeping_environ();
    site.respond(get("/caf%C3%A9/%zz/a%2Fb?x=%20"));
    assert_eq!(site.variable("PATH_INFO"), r"'/cafÃ©/%zz/a/b'");
    assert_eq!(site.variable("RAW_URI"), "'/caf%C3%A9/%zz/a%2Fb?x=%20'");
    assert_eq!(site.variable("QUERY_STRING"), "'x=%20'");
    let mut absolute = get("/a?b");
    absolute.raw_target = Some("http://shop.example/a?b#c".into());
    site.respond(absolute);
    assert_eq!(site.variable("RAW_URI"), "'http://shop.example/a?b#c'");
    assert_eq!(site.variable("PATH_INFO"), "'/a'");
    assert_eq!(site.variable("QUERY_STRING"), "'b'");
}

#[test]
fn header_bytes_become_latin_1_and_repeats_are_joined() {
    let site = Site::keeping_environ();
    let headers: &[(&str, &[u8])] = &[
        ("content-type", b"text/plain"),
        ("content-length", b"0"),
        ("x-name", b"M\xfcller"),
        ("accept", b"text/html"),
        ("cookie", b"a=1"),
        ("accept", b"text/plain"),
        ("x-own", b"1"),
        ("x-own", b"2"),
        ("authorization", b"Basic eDp5"),
    ];
    site.respond(with_headers(get("/"), headers));
    assert_eq!(site.variable("CONTENT_TYPE"), "'text/plain'");
    assert_eq!(site.variable("CONTENT_LENGTH"), "'0'");
    assert_eq!(site.variable("HTTP_CONTENT_TYPE"), "absent");
    assert_eq!(site.variable("HTTP_X_NAME"), "'Müller'");
    assert_eq!(site.variable("HTTP_ACCEPT"), "'text/html,text/plain'");
    assert_eq!(site.variable("HTTP_X_OWN"), "'1,2'");
    assert_eq!(site.variable("HTTP_COOKIE"), "'a=1'");
    assert_eq!(site.variable("HTTP_AUTHORIZATION"), "'Basic eDp5'");
}

#[test]
fn a_name_with_an_underscore_never_replaces_the_one_with_a_hyphen() {
    let site = Site::keeping_environ();
    site.respond(with_headers(get("/"), &[("x_real_ip", b"forged"), ("x-real-ip", b"192.0.2.1")]));
    assert_eq!(site.variable("HTTP_X_REAL_IP"), "'192.0.2.1,forged'");
}

#[test]
fn methods_versions_and_schemes() {
    let site = Site::keeping_environ();
    for method in ["POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let mut request = get("/");
        request.head.method = Method::from_bytes(method.as_bytes()).unwrap();
        site.respond(request);
        assert_eq!(site.variable("REQUEST_METHOD"), format!("'{method}'"));
    }
    let mut request = get("/");
    request.head.version = Version::HTTP_10;
    request.scheme = Scheme::Https;
    site.respond(request);
    assert_eq!(site.variable("SERVER_PROTOCOL"), "'HTTP/1.0'");
    assert_eq!(site.variable("wsgi.url_scheme"), "'https'");
    let mut request = get("/");
    request.sent_version = Some((2, 0));
    site.respond(request);
    assert_eq!(site.variable("SERVER_PROTOCOL"), "'HTTP/2.0'");
}

#[test]
fn the_proxy_protocol_tells_of_client_and_proxy() {
    let site = Site::keeping_environ();
    let keys = ["REMOTE_ADDR", "REMOTE_PORT", "PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT"];
    let told = |peer: &str, protocol: &'static str, destination: Option<&str>| {
        let mut request = get("/");
        let proxied = Proxied { protocol, destination: destination.map(|address| address.parse().unwrap()) };
        let local = request.connection.local.clone();
        let connection = Connection::new(Some(peer.parse().unwrap()), local, true);
        request.connection = Arc::new(Connection { proxied: Some(proxied), ..connection });
        site.respond(request);
        keys.map(|key| site.variable(key))
    };
    let wanted = ["'2001:db8::1'", "'5'", "'TCP6'", "'::1'", "'443'"];
    assert_eq!(told("[2001:db8::1]:5", "TCP6", Some("[::1]:443")), wanted);
    let wanted = ["'192.0.2.7'", "'9'", "'LOCAL'", "absent", "absent"];
    assert_eq!(told("192.0.2.7:9", "LOCAL", None), wanted);
    site.get();
    assert_eq!(site.variable("PROXY_PROTOCOL"), "absent");
}

#[test]
fn a_client_behind_a_proxy_has_an_address_without_a_port() {
    let site = Site::keeping_environ();
    for connection in [get("/").connection, unix()] {
        let mut request = get("/");
        request.connection = connection;
        request.client = Some("2001:db8::7".parse().unwrap());
        site.respond(request);
        assert_eq!(site.variable("REMOTE_ADDR"), "'2001:db8::7'");
        assert_eq!(site.variable("REMOTE_PORT"), "absent");
    }
    site.get();
    assert_eq!(site.variable("REMOTE_PORT"), "'51234'");
}

#[test]
fn a_unix_socket_has_no_remote_port_and_takes_its_name_from_host() {
    let site = Site::keeping_environ();
    for (host, scheme, name, port) in [
        ("shop.example", Scheme::Http, "shop.example", "80"),
        ("shop.example", Scheme::Https, "shop.example", "443"),
        ("shop.example:8443", Scheme::Http, "shop.example", "8443"),
        ("[2001:db8::1]", Scheme::Http, "[2001:db8::1]", "80"),
        ("[2001:db8::1]:81", Scheme::Http, "[2001:db8::1]", "81"),
        ("", Scheme::Http, "/run/site.sock", "80"),
    ] {
        let mut request = with_headers(get("/"), &[("host", host.as_bytes())]);
        request.connection = unix();
        request.scheme = scheme;
        site.respond(request);
        assert_eq!(site.variable("SERVER_NAME"), format!("'{name}'"), "{host}");
        assert_eq!(site.variable("SERVER_PORT"), format!("'{port}'"), "{host}");
        assert_eq!(site.variable("REMOTE_ADDR"), "''");
        assert_eq!(site.variable("REMOTE_PORT"), "absent");
    }
}

#[test]
fn the_script_name_is_taken_off_the_path() {
    let site = Site::with(KEEPER, "/shop", &worker());
    site.respond(get("/shop/cart?x"));
    assert_eq!(site.variable("SCRIPT_NAME"), "'/shop'");
    assert_eq!(site.variable("PATH_INFO"), "'/cart'");
    site.respond(with_headers(get("/other/x"), &[("script_name", b"/other")]));
    assert_eq!(site.variable("SCRIPT_NAME"), "'/other'");
    assert_eq!(site.variable("PATH_INFO"), "'/x'");
    match site.answer(get("/elsewhere")) {
        Answer::Fault(fault) => {
            assert_eq!(fault.message, r#"Request path "/elsewhere" does not start with SCRIPT_NAME "/shop""#);
        }
        _ => panic!("a path outside of SCRIPT_NAME was served"),
    }
}

#[test]
fn what_an_app_adds_to_its_environ_is_gone_at_the_next_request() {
    let site = Site::new(
        "
def app(env, start_response):
    global environ, before
    before = 'left' in env
    environ = env
    env['left'] = env['REMOTE_ADDR'] = 'behind'
    start_response('200 OK', [])
    return []
",
    );
    let first = get("/");
    let mut second = get("/");
    second.connection = first.connection.clone();
    site.respond(first);
    site.respond(second);
    assert_eq!(site.eval("before"), "False");
    site.respond(get("/"));
    assert_eq!(site.eval("before"), "False");
}
