//! A compiled access-log format: what it copies from a request and a response, and how it puts a line together.

use std::time::Duration;

use ferricorn_protocol::Request;
use http::{HeaderMap, HeaderName, StatusCode};

use super::grammar::{Atom, EndAtom, FormatError, Grammar, Part, RequestAtom, Shape};
use super::request;
use crate::stamp::Stamp;

/// A format, ready for use.
#[derive(Debug)]
pub(super) struct Format {
    steps: Vec<Step>,
    request: Vec<(RequestAtom, Shape)>,
    response: Vec<(HeaderName, Shape)>,
    environ: Vec<String>,
}

#[derive(Debug)]
enum Step {
    Literal(Box<[u8]>),
    /// The next value that was copied from the request.
    Request,
    /// The next value that was copied from the response; the shape is for the `-` if there was none.
    Response(Shape),
    End(EndAtom, Shape),
    Absent(Shape),
}

/// What an access line needs of a request, copied from it. Made by [`AccessLog::begin`](super::AccessLog::begin).
#[derive(Debug)]
pub struct Capture {
    /// The values in the order of their steps, finished, each behind its length: first those of the request,
    /// then those of the response.
    values: Vec<u8>,
    request_end: usize,
    status: Option<StatusCode>,
}

/// What is known at the end of a request.
pub(super) struct End<'a> {
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
    pub(super) environ: &'a [Option<String>],
}

const PREFIX: usize = size_of::<u32>();

impl Format {
    pub(super) fn compile(format: &str) -> Result<Self, FormatError> {
        let Grammar { parts, environ } = Grammar::parse(format)?;
        let mut compiled = Self { steps: Vec::new(), request: Vec::new(), response: Vec::new(), environ };
        for part in parts {
            let step = match part {
                Part::Literal(text) => Step::Literal(text.into_bytes().into()),
                Part::Atom(Atom::Request(atom), shape) => {
                    compiled.request.push((atom, shape));
                    Step::Request
                }
                Part::Atom(Atom::ResponseHeader(name), shape) => {
                    compiled.response.push((name, shape));
                    Step::Response(shape)
                }
                Part::Atom(Atom::End(atom), shape) => Step::End(atom, shape),
                Part::Atom(Atom::Absent, shape) => Step::Absent(shape),
            };
            compiled.steps.push(step);
        }
        compiled.steps.push(Step::Literal((*b"\n").into()));
        Ok(compiled)
    }

    pub(super) fn environ(&self) -> &[String] {
        &self.environ
    }

    /// Copies what the line needs of the request.
    pub(super) fn capture(&self, from: &Request, prefix: &str) -> Capture {
        let mut values = Vec::with_capacity(256);
        for (atom, shape) in &self.request {
            framed(&mut values, |out| request::push(out, atom, shape, from, prefix));
        }
        Capture { request_end: values.len(), values, status: None }
    }

    /// Copies what the line needs of the response. The last call counts.
    pub(super) fn head(&self, capture: &mut Capture, status: StatusCode, headers: &HeaderMap) {
        capture.status = Some(status);
        capture.values.truncate(capture.request_end);
        for (name, shape) in &self.response {
            framed(&mut capture.values, |out| request::push_header(out, shape, headers, name));
        }
    }

    /// Appends the line.
    pub(super) fn render(&self, out: &mut Vec<u8>, capture: &Capture, end: &End<'_>, stamp: &mut Stamp) {
        let (mut request, mut response) = capture.values.split_at(capture.request_end);
        for step in &self.steps {
            match step {
                Step::Literal(text) => out.extend_from_slice(text),
                Step::Request => out.extend_from_slice(next(&mut request).unwrap_or_default()),
                Step::Response(shape) => match next(&mut response) {
                    Some(value) => out.extend_from_slice(value),
                    None => shape.push_safe(out, b"-"),
                },
                Step::End(atom, shape) => end.push(out, *atom, shape, capture.status, stamp),
                Step::Absent(shape) => shape.push_safe(out, b"-"),
            }
        }
    }
}

/// Appends a value behind its length.
fn framed(values: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    let start = values.len();
    values.extend_from_slice(&[0; PREFIX]);
    push(values);
    // A head is limited to far less than 4 GiB.
    let length = u32::try_from(values.len() - start - PREFIX).unwrap_or(u32::MAX);
    values[start..start + PREFIX].copy_from_slice(&length.to_ne_bytes());
}

/// Takes the next value.
fn next<'a>(values: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = values.split_first_chunk::<PREFIX>()?;
    let (value, rest) = rest.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
    *values = rest;
    Some(value)
}

impl End<'_> {
    fn push(
        &self,
        out: &mut Vec<u8>,
        atom: EndAtom,
        shape: &Shape,
        status: Option<StatusCode>,
        stamp: &mut Stamp,
    ) {
        match atom {
            EndAtom::Time => shape.push_safe(out, stamp.now().as_bytes()),
            EndAtom::Status => match status {
                Some(status) => shape.push_number(out, u64::from(status.as_u16())),
                None => shape.push_safe(out, b"-"),
            },
            EndAtom::Bytes => shape.push_number(out, self.bytes),
            EndAtom::Seconds => shape.push_number(out, self.elapsed.as_secs()),
            EndAtom::Milliseconds => shape.push_number(out, saturated(self.elapsed.as_millis())),
            EndAtom::Microseconds => shape.push_number(out, saturated(self.elapsed.as_micros())),
            EndAtom::DecimalSeconds => {
                let text = format!("{}.{:06}", self.elapsed.as_secs(), self.elapsed.subsec_micros());
                shape.push_safe(out, text.as_bytes());
            }
            EndAtom::Pid => shape.push_safe(out, format!("<{}>", std::process::id()).as_bytes()),
            EndAtom::Environ(at) => {
                let value = self.environ.get(at).and_then(Option::as_deref).unwrap_or("-");
                shape.push_text(out, value.as_bytes());
            }
        }
    }
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
