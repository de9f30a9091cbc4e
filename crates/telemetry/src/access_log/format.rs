//! A compiled access-log format: what it copies from a request and a response, and how it puts a line together.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use super::grammar::{Atom, EndAtom, FormatError, Grammar, Notation, Part, RequestAtom, Shape};
use super::shape::NULL;
use super::{fields, request};
use crate::stamp::Stamp;

/// A format, ready for use.
#[derive(Debug)]
pub(super) struct Format {
    steps: Vec<Step>,
    runs: Vec<Run>,
    /// Headers of the response, all of them where there is no name.
    response: Vec<(Option<HeaderName>, Shape)>,
    environ: Vec<String>,
}

#[derive(Debug)]
enum Step {
    Literal(Box<[u8]>),
    /// The next run of text that was put together from the request.
    Request,
    /// The next value that was copied from the response; the shape is for the `-` if there was none.
    Response(Shape),
    /// The next value that was copied from the response, or the next run if that is null.
    Either,
    End(EndAtom, Shape),
    Absent(Shape),
}

/// Atoms of the request and the text between them, with nothing in between that is only known later.
type Run = Vec<RunPart>;

#[derive(Debug)]
enum RunPart {
    Literal(Box<[u8]>),
    Atom(RequestAtom, Shape),
}

/// What an access line needs of a request, copied from it. Made by [`AccessLog::begin`](super::AccessLog::begin).
#[derive(Debug)]
pub struct Capture {
    /// Text in the order of its steps, finished, each piece behind its length: first the runs of the request,
    /// then the headers of the response.
    values: Vec<u8>,
    request_end: usize,
    status: Option<StatusCode>,
}

/// What is known at the end of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct End<'a> {
    /// Bytes of the response body that were sent.
    pub bytes: u64,
    /// The time since the request had been read.
    pub elapsed: Duration,
    /// How much of it the request waited for an app thread; `None` if it never did.
    pub queued: Option<Duration>,
    /// The values of [`AccessLog::environ_names`](super::AccessLog::environ_names), in that order; may be empty.
    pub environ: &'a [Option<String>],
}

impl Capture {
    /// The status of the answer; none if there was none.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

const PREFIX: usize = size_of::<u32>();

impl Format {
    pub(super) fn compile(format: &str) -> Result<Self, FormatError> {
        Ok(Self::of(Grammar::parse(format)?))
    }

    /// The same for an app that has no environ.
    pub(super) fn without_environ(format: &str, python: Option<bool>) -> Self {
        let grammar = Grammar::read(format);
        let grammar = match python {
            Some(json) => fields::for_python(grammar.environ, json),
            None => grammar,
        };
        Self::of(grammar.without_environ())
    }

    /// The format of `access_log_json`.
    pub(super) fn json() -> Self {
        Self::of(fields::grammar())
    }

    /// What a logger of Python's makes access lines of; the text is the format that it will print. With `json` it is given
    /// the line of [`Self::json`] besides.
    pub(super) fn python(format: &str, json: bool) -> Self {
        Self::of(fields::for_python(Grammar::read(format).environ, json))
    }

    fn of(grammar: Grammar) -> Self {
        let Grammar { mut parts, environ, .. } = grammar;
        parts.push(Part::Literal("\n".to_owned()));
        let mut compiled = Self { steps: Vec::new(), runs: Vec::new(), response: Vec::new(), environ };
        for part in parts {
            match part {
                Part::Literal(text) => compiled.literal(text.into_bytes().into()),
                Part::Atom(Atom::Request(atom), shape) => compiled.run().push(RunPart::Atom(atom, shape)),
                Part::Atom(Atom::ResponseHeader(name), shape) => {
                    compiled.response.push((Some(name), shape));
                    compiled.steps.push(Step::Response(shape));
                }
                Part::Atom(Atom::ResponseHeaders, shape) => {
                    compiled.response.push((None, shape));
                    compiled.steps.push(Step::Response(shape));
                }
                Part::Atom(Atom::EitherHeader(name), shape) => {
                    compiled.runs.push(vec![RunPart::Atom(RequestAtom::Header(name.clone()), shape)]);
                    compiled.response.push((Some(name), shape));
                    compiled.steps.push(Step::Either);
                }
                Part::Atom(Atom::End(atom), shape) => compiled.steps.push(Step::End(atom, shape)),
                Part::Atom(Atom::Absent, shape) => compiled.steps.push(Step::Absent(shape)),
            }
        }
        compiled
    }

    /// Adds text: to the run before it, if there is one.
    fn literal(&mut self, text: Box<[u8]>) {
        match (self.steps.last(), self.runs.last_mut()) {
            (Some(Step::Request), Some(run)) => run.push(RunPart::Literal(text)),
            _ => self.steps.push(Step::Literal(text)),
        }
    }

    /// The run at the end of the format; text before it becomes a part of it.
    fn run(&mut self) -> &mut Run {
        if !matches!(self.steps.last(), Some(Step::Request)) {
            let run = match self.steps.pop() {
                Some(Step::Literal(text)) => vec![RunPart::Literal(text)],
                other => {
                    self.steps.extend(other);
                    Vec::new()
                }
            };
            self.steps.push(Step::Request);
            self.runs.push(run);
        }
        self.runs.last_mut().expect("a run was pushed with its step")
    }

    pub(super) fn environ(&self) -> &[String] {
        &self.environ
    }

    /// Whether it prints how long a request waited for an app thread.
    pub(super) fn tells_queue(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::End(EndAtom::Queued, _)))
    }

    /// Copies what the line needs of the request; `push` appends the value of an atom.
    pub(super) fn capture(&self, push: impl Fn(&mut Vec<u8>, &RequestAtom, &Shape)) -> Capture {
        let mut values = Vec::with_capacity(256);
        for run in &self.runs {
            framed(&mut values, |out| {
                for part in run {
                    match part {
                        RunPart::Literal(text) => out.extend_from_slice(text),
                        RunPart::Atom(atom, shape) => push(out, atom, shape),
                    }
                }
            });
        }
        Capture { request_end: values.len(), values, status: None }
    }

    /// Copies what the line needs of the response. The last call counts.
    pub(super) fn head(&self, capture: &mut Capture, status: StatusCode, headers: &HeaderMap) {
        capture.status = Some(status);
        capture.values.truncate(capture.request_end);
        for (name, shape) in &self.response {
            framed(&mut capture.values, |out| match name {
                Some(name) => request::push_header(out, shape, headers, name),
                None => request::push_headers(out, headers),
            });
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
                    None => shape.push_absent(out),
                },
                Step::Either => {
                    let of_request = next(&mut request).unwrap_or(NULL);
                    let of_response = next(&mut response).filter(|value| *value != NULL);
                    out.extend_from_slice(of_response.unwrap_or(of_request));
                }
                Step::End(atom, shape) => end.push(out, *atom, shape, capture.status, stamp),
                Step::Absent(shape) => shape.push_absent(out),
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
                None => shape.push_absent(out),
            },
            EndAtom::Bytes => shape.push_number(out, self.bytes),
            EndAtom::Seconds => shape.push_number(out, self.elapsed.as_secs()),
            EndAtom::Milliseconds => shape.push_number(out, saturated(self.elapsed.as_millis())),
            EndAtom::Microseconds => shape.push_number(out, saturated(self.elapsed.as_micros())),
            EndAtom::DecimalSeconds => push_seconds(out, shape, self.elapsed),
            EndAtom::Queued => match self.queued {
                Some(queued) => push_seconds(out, shape, queued),
                None => shape.push_absent(out),
            },
            EndAtom::PidNumber => shape.push_number(out, u64::from(std::process::id())),
            EndAtom::PreciseTime => stamp.push_precise(out),
            EndAtom::Pid => shape.push_with(out, |out| {
                out.push(b'<');
                Shape::default().push_number(out, u64::from(std::process::id()));
                out.push(b'>');
            }),
            EndAtom::Environ(at) => {
                let value = self.environ.get(at).and_then(Option::as_deref);
                request::push_optional(out, shape, value.map(str::as_bytes));
            }
        }
    }
}

/// Seconds with six decimals.
fn push_seconds(out: &mut Vec<u8>, shape: &Shape, time: Duration) {
    // A number in JSON, which has no quotes.
    let shape = if shape.json { &Shape::default() } else { shape };
    shape.push_with(out, |out| {
        Shape::default().push_number(out, time.as_secs());
        out.push(b'.');
        let six = Shape { notation: Some(Notation::Decimal), zeros: true, width: 6, ..Shape::default() };
        six.push_number(out, u64::from(time.subsec_micros()));
    });
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
