//! The members of JSON access lines, and of those from which Python makes its own.

use http::{HeaderName, header};

use super::grammar::{Atom, EndAtom, Grammar, Part, RequestAtom, Shape};
use crate::json::push_string;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One object: every member is always there, and null if there is no value.
pub(super) fn grammar() -> Grammar {
    object(members(), Vec::new())
}

fn members() -> Vec<(String, Atom)> {
    let request = Atom::Request;
    let members = [
        ("time", Atom::End(EndAtom::PreciseTime)),
        ("pid", Atom::End(EndAtom::PidNumber)),
        ("client", request(RequestAtom::RemoteAddress)),
        ("user", request(RequestAtom::User)),
        ("method", request(RequestAtom::Method)),
        ("target", request(RequestAtom::Target)),
        ("protocol", request(RequestAtom::Protocol)),
        ("host", request(RequestAtom::Header(header::HOST))),
        ("referer", request(RequestAtom::Referer)),
        ("user_agent", request(RequestAtom::UserAgent)),
        ("request_id", Atom::EitherHeader(REQUEST_ID)),
        ("status", Atom::End(EndAtom::Status)),
        ("bytes", Atom::End(EndAtom::Bytes)),
        ("duration", Atom::End(EndAtom::DecimalSeconds)),
        ("queue", Atom::End(EndAtom::Queued)),
    ];
    members.map(|(name, atom)| (name.to_owned(), atom)).into()
}

/// What a logger of Python's makes an access line of. The environ variables are members named `environ NAME`; the last
/// member, if it is wanted, is `json`: the object of [`grammar`].
pub(super) fn for_python(environ: Vec<String>, json: bool) -> Grammar {
    let request = Atom::Request;
    let members = [
        ("client", request(RequestAtom::RemoteAddress)),
        ("line", request(RequestAtom::RequestLine)),
        ("method", request(RequestAtom::Method)),
        ("target", request(RequestAtom::Target)),
        ("path", request(RequestAtom::Path)),
        ("query", request(RequestAtom::Query)),
        ("protocol", request(RequestAtom::Protocol)),
        ("headers", request(RequestAtom::Headers)),
        ("status", Atom::End(EndAtom::Status)),
        ("response_headers", Atom::ResponseHeaders),
        ("bytes", Atom::End(EndAtom::Bytes)),
        ("micros", Atom::End(EndAtom::Microseconds)),
        ("queue", Atom::End(EndAtom::Queued)),
    ];
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, atom)| (name.to_owned(), atom))
        .chain(
            environ
                .iter()
                .enumerate()
                .map(|(at, name)| (format!("environ {name}"), Atom::End(EndAtom::Environ(at)))),
        )
        .collect();
    let mut told = object(members, environ);
    if json {
        told.parts.pop();
        told.parts.push(Part::Literal(",\"json\":".to_owned()));
        told.parts.extend(grammar().parts);
        told.parts.push(Part::Literal("}".to_owned()));
    }
    told
}

fn object(members: impl IntoIterator<Item = (String, Atom)>, environ: Vec<String>) -> Grammar {
    let shape = Shape { json: true, ..Shape::default() };
    let mut text = Vec::new();
    let mut parts = Vec::new();
    for (name, atom) in members {
        text.push(if parts.is_empty() { b'{' } else { b',' });
        push_string(&mut text, name.as_bytes());
        text.push(b':');
        parts.push(Part::Literal(String::from_utf8_lossy(&text).into_owned()));
        parts.push(Part::Atom(atom, shape));
        text.clear();
    }
    parts.push(Part::Literal("}".to_owned()));
    Grammar { parts, environ, ..Grammar::default() }
}
