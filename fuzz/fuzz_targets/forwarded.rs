//! Headers in which a proxy tells the client's address and scheme, and names that could pass for them.
//!
//! - Whatever a client sends, the address that the proxy adds is the one that counts.
//! - The scheme is https only if a trusted peer says so without contradiction.
//! - No name with `_` passes that could be mistaken for one of the proxy's.

#![no_main]

use std::net::IpAddr;

use ferricorn_config::{AllowList, HeaderMapPolicy, ProxyProtocol, Trust};
use ferricorn_fuzz::pieces::Dice;
use ferricorn_protocol::Scheme;
use ferricorn_worker_async::gate_fuzz::{client_address, scheme, underscores};
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

/// Between the fields that the client sends.
const SEPARATOR: u8 = 0x1e;

const LIST: [(&str, &str); 4] = [
    ("203.0.113.9", "203.0.113.9"),
    ("203.0.113.9:4711", "203.0.113.9"),
    ("2001:db8::9", "2001:db8::9"),
    ("[2001:db8::9]:4711", "2001:db8::9"),
];

const RFC_7239: [(&str, &str); 4] = [
    ("for=203.0.113.9", "203.0.113.9"),
    ("proto=https; FOR=\"203.0.113.9:4711\"", "203.0.113.9"),
    ("by=_a;for=\"[2001:db8::9]\";host=\"a,b;for=6.6.6.6\"", "2001:db8::9"),
    ("host=\"a\\\"b\\\\\";for=\"[2001:db8::9]:4711\"", "2001:db8::9"),
];

fuzz_target!(|bytes: &[u8]| {
    let mut dice = Dice::of(bytes);
    let sound = |field: &&[u8]| HeaderValue::from_bytes(field).is_ok();
    let fields: Vec<&[u8]> = bytes.split(|&byte| byte == SEPARATOR).filter(sound).collect();
    the_proxy_counts(&HeaderName::from_static("x-forwarded-for"), &fields, &LIST, &mut dice);
    the_proxy_counts(&FORWARDED, &fields, &RFC_7239, &mut dice);
    schemes_do_not_contradict(&fields, &mut dice);
    names_are_not_mistaken(&fields, &mut dice);
});

/// Up to three proxies add an element each, to the last field or as a field of its own.
fn the_proxy_counts(name: &HeaderName, client: &[&[u8]], elements: &[(&str, &str)], dice: &mut Dice) {
    for hops in 0..=client.len() + 2 {
        let _ = client_address(name, client, hops);
    }
    let proxies = 1 + dice.roll(3);
    let mut fields: Vec<Vec<u8>> = client.iter().map(|field| field.to_vec()).collect();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for _ in 0..proxies {
        let (element, address) = elements[dice.roll(elements.len())];
        match fields.last_mut().filter(|_| dice.roll(3) != 0) {
            Some(field) => {
                field.extend_from_slice(if dice.roll(2) == 0 { b"," } else { b", " });
                field.extend_from_slice(element.as_bytes());
            }
            None => fields.push(element.as_bytes().to_vec()),
        }
        addresses.push(address.parse().expect("an address"));
    }
    let sent: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    for hops in 1..=proxies {
        let told = client_address(name, &sent, hops);
        assert_eq!(told, Some(addresses[proxies - hops]), "{name}, {hops} of {proxies}");
    }
}

fn trust(header_map: HeaderMapPolicy) -> Trust {
    let secure = [("x-forwarded-protocol", "ssl"), ("x-forwarded-proto", "https"), ("x-forwarded-ssl", "on")];
    Trust {
        forwarded_allow_ips: AllowList::All,
        secure_scheme_headers: secure
            .map(|(name, value)| (HeaderName::from_static(name), value.to_owned()))
            .into(),
        forwarder_headers: vec!["SCRIPT_NAME".to_owned(), "PATH_INFO".to_owned()],
        header_map,
        proxy_protocol: ProxyProtocol::Off,
        proxy_allow_ips: AllowList::All,
        real_ip: None,
    }
}

fn schemes_do_not_contradict(values: &[&[u8]], dice: &mut Dice) {
    let trust = trust(HeaderMapPolicy::Drop);
    let names =
        ["x-forwarded-protocol", "x-forwarded-proto", "x-forwarded-ssl", "x_forwarded_proto", "x-other"];
    let mut headers = HeaderMap::new();
    let mut secure = Vec::new();
    for value in values {
        let at = dice.roll(names.len());
        let word = [b"ssl".as_slice(), b"https", b"on"];
        let value = if dice.roll(2) == 0 { word[dice.roll(3)] } else { value };
        headers.append(HeaderName::from_static(names[at]), HeaderValue::from_bytes(value).expect("sound"));
        secure.extend(word.get(at).map(|word| *word == value));
    }
    let expected = match (secure.contains(&true), secure.contains(&false)) {
        (true, true) => None,
        (true, false) => Some(Scheme::Https),
        (false, _) => Some(Scheme::Http),
    };
    assert_eq!(scheme(&headers, &trust, true), expected);
    assert_eq!(scheme(&headers, &trust, false), Some(Scheme::Http), "nobody asked the client");
}

fn names_are_not_mistaken(names: &[&[u8]], dice: &mut Dice) {
    let mut sent = HeaderMap::new();
    for name in names {
        if let Ok(name) = HeaderName::from_bytes(name) {
            sent.append(name, HeaderValue::from_static("x"));
        }
    }
    let trusted = dice.roll(2) == 0;
    let forwarder = |name: &str| trusted && ["script_name", "path_info"].contains(&name);
    let odd = |name: &&HeaderName| name.as_str().contains('_') && !forwarder(name.as_str());
    let mut kept = sent.clone();
    assert_eq!(
        underscores(&mut kept, &trust(HeaderMapPolicy::Refuse), trusted),
        !sent.keys().any(|name| odd(&name))
    );
    assert!(underscores(&mut kept, &trust(HeaderMapPolicy::Drop), trusted));
    assert_eq!(kept.keys().find(odd), None);
    for name in sent.keys().filter(|name| !odd(name)) {
        assert_eq!(kept.get_all(name).iter().count(), sent.get_all(name).iter().count(), "{name} is kept");
    }
    let mut kept = sent.clone();
    assert!(underscores(&mut kept, &trust(HeaderMapPolicy::Dangerous), trusted));
    assert_eq!(kept, sent);
}
