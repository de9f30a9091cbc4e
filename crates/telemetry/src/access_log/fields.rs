//! The members of a JSON access line.

use http::{HeaderName, header};

use super::grammar::{Atom, EndAtom, Grammar, Part, RequestAtom, Shape};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One object: every member is always there, and null if there is no value.
pub(super) fn grammar() -> Grammar {
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
    let shape = Shape { json: true, ..Shape::default() };
    let mut parts = Vec::new();
    for (name, atom) in members {
        let before = if parts.is_empty() { '{' } else { ',' };
        parts.push(Part::Literal(format!("{before}\"{name}\":")));
        parts.push(Part::Atom(atom, shape));
    }
    parts.push(Part::Literal("}".to_owned()));
    Grammar { parts, environ: Vec::new() }
}
