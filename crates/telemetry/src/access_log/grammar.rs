//! The grammar of `access_log_format`: Python's `%`-format over a mapping, with gunicorn's atoms as its names.

use std::fmt;

use http::HeaderName;

/// A format that was understood, in the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Grammar {
    pub(super) parts: Vec<Part>,
    /// The environ variables of the `{name}e` atoms, each once.
    pub(super) environ: Vec<String>,
    /// What gunicorn cannot print at all.
    pub(super) faults: Vec<String>,
    /// What is printed as `-`, with the reason.
    pub(super) doubts: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Literal(String),
    Atom(Atom, Shape),
}

/// What an atom stands for, sorted by when it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Atom {
    Request(RequestAtom),
    /// `{name}o`.
    ResponseHeader(HeaderName),
    /// All header fields of the response, as pairs, for JSON.
    ResponseHeaders,
    End(EndAtom),
    /// A header of the response, or of the request if the response has none, for JSON.
    EitherHeader(HeaderName),
    /// `-`: `l`, and names that gunicorn does not know.
    Absent,
}

/// Known when the request has been read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RequestAtom {
    RemoteAddress,
    User,
    RequestLine,
    Method,
    Path,
    Query,
    Protocol,
    Referer,
    UserAgent,
    /// `{name}i`.
    Header(HeaderName),
    /// The target of the request line, for JSON.
    Target,
    /// All header fields, as pairs, for JSON.
    Headers,
}

/// Known when the response has been sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum EndAtom {
    Time,
    Status,
    /// `B`, and `b`, which print the same since the count is always known.
    Bytes,
    Seconds,
    Milliseconds,
    Microseconds,
    DecimalSeconds,
    /// `queue`: how long the request waited for an app thread. gunicorn prints `-` for it.
    Queued,
    Pid,
    /// The pid as it is, for JSON.
    PidNumber,
    /// The time as RFC 3339 has it, with microseconds, for JSON.
    PreciseTime,
    /// `{name}e`: an index into the values that the application gave.
    Environ(usize),
}

/// Flags, width and precision of a conversion, as in Python.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// How a number is written; none for `s`.
    pub(super) notation: Option<Notation>,
    pub(super) left: bool,
    pub(super) zeros: bool,
    pub(super) plus: bool,
    pub(super) space: bool,
    pub(super) width: usize,
    pub(super) precision: Option<usize>,
    /// A JSON value, against text in a line.
    pub(super) json: bool,
}

/// How a conversion writes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Decimal,
    Octal,
    Hex,
    UpperHex,
    /// With decimals.
    Fixed,
}

impl Notation {
    fn of(letter: char) -> Option<Self> {
        match letter {
            'd' | 'i' | 'u' => Some(Self::Decimal),
            'o' => Some(Self::Octal),
            'x' => Some(Self::Hex),
            'X' => Some(Self::UpperHex),
            'f' | 'F' => Some(Self::Fixed),
            _ => None,
        }
    }
}

/// Everything that is wrong with a format; `Display` gives one line for each.
#[derive(Debug, PartialEq, Eq)]
pub struct FormatError(Vec<String>);

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for FormatError {}

/// A width beyond this is a slip of the finger, and would cost memory with each request.
const WIDEST: usize = 4096;

impl Grammar {
    /// Reads a format that is to be printed.
    pub(super) fn parse(format: &str) -> Result<Self, FormatError> {
        let mut grammar = Self::read(format);
        match std::mem::take(&mut grammar.faults) {
            faults if faults.is_empty() => Ok(grammar),
            faults => Err(FormatError(faults)),
        }
    }

    /// The same where the app has no environ: what the request tells of it takes the place of its variables, as with
    /// gunicorn's `asgi` worker.
    #[must_use]
    pub(super) fn without_environ(mut self) -> Self {
        let names = std::mem::take(&mut self.environ);
        for part in &mut self.parts {
            if let Part::Atom(atom, _) = part
                && let Atom::End(EndAtom::Environ(at)) = *atom
            {
                *atom = RequestAtom::of_variable(&names[at]).map_or(Atom::Absent, Atom::Request);
            }
        }
        self
    }

    /// Reads a format that somebody else prints, or judges.
    pub(super) fn read(format: &str) -> Self {
        let mut grammar = Self::default();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            grammar.literal(&rest[..at]);
            rest = grammar.conversion(&rest[at..]);
        }
        grammar.literal(rest);
        grammar
    }

    fn literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Literal(before)) => before.push_str(text),
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    /// Reads one conversion, at whose `%` the text begins; returns what follows.
    fn conversion<'a>(&mut self, text: &'a str) -> &'a str {
        let after = &text[1..];
        if let Some(rest) = after.strip_prefix('%') {
            self.literal("%");
            return rest;
        }
        let (name, rest) = match named(after) {
            Some((name, rest)) => (Some(name), rest),
            None if after.starts_with('(') => {
                self.faults.push(format!("the name in '{}' does not end; write '%(h)s'", cut(text)));
                return after;
            }
            None => (None, after),
        };
        let (mut shape, letter, rest) = shape(rest);
        let written = &text[..text.len() - rest.len()];
        let Some(letter) = letter else {
            let meant = name.map_or("%%".to_owned(), |name| format!("%({name})s"));
            self.faults.push(format!("'{}' ends without a conversion; write '{meant}'", cut(written)));
            return rest;
        };
        let text = matches!(letter, 's' | 'r' | 'a');
        let Some(name) = name else {
            match text {
                // gunicorn prints all that it knows of the request.
                true => {
                    self.doubts.push(format!("'{written}' has no name in parentheses and is printed as '-'"));
                    self.place(Atom::Absent, shape);
                }
                false => self.faults.push(format!(
                    "'{}' has no name in parentheses; write '%%' for a percent sign",
                    cut(written)
                )),
            }
            return rest;
        };
        if shape.width.max(shape.precision.unwrap_or(0)) > WIDEST {
            self.doubts.push(format!("'{written}' is printed no wider than {WIDEST}"));
            shape.width = shape.width.min(WIDEST);
            shape.precision = shape.precision.map(|precision| precision.min(WIDEST));
        }
        let atom = self.atom(name);
        if atom.is_none() {
            self.doubts.push(format!("'{written}' names no atom and is printed as '-'"));
        }
        let atom = atom.unwrap_or(Atom::Absent);
        match Notation::of(letter) {
            _ if text => self.place(atom, shape),
            notation @ Some(_) if atom.is_number() => self.place(atom, Shape { notation, ..shape }),
            _ if !"diuoxXeEfFgGc".contains(letter) => {
                self.faults.push(format!("'{written}' is no conversion; write '%({name})s'"));
            }
            _ if atom == Atom::Absent => self.place(atom, Shape { precision: None, ..shape }),
            _ if atom.is_number() => {
                self.doubts.push(format!("'{written}' is printed as '-': write '%({name})s'"));
                self.place(Atom::Absent, Shape { precision: None, ..shape });
            }
            _ => self.faults.push(format!("'{written}' cannot be printed so; write '%({name})s'")),
        }
        rest
    }

    fn place(&mut self, atom: Atom, shape: Shape) {
        if atom == Atom::Absent && shape == Shape::default() {
            self.literal("-");
        } else {
            self.parts.push(Part::Atom(atom, shape));
        }
    }

    /// The atom of that name, if there is one.
    fn atom(&mut self, name: &str) -> Option<Atom> {
        use {EndAtom as E, RequestAtom as R};
        if let Some((inner, kind)) = name.strip_prefix('{').and_then(|name| name.rsplit_once('}')) {
            let header = HeaderName::from_bytes(inner.as_bytes());
            return Some(match (kind, header) {
                ("i" | "I", Ok(header)) => Atom::Request(R::Header(header)),
                ("o" | "O", Ok(header)) => Atom::ResponseHeader(header),
                ("e" | "E", _) => Atom::End(E::Environ(self.environ(inner))),
                _ => Atom::Absent,
            });
        }
        let end = |atom| Some(Atom::End(atom));
        let request = |atom| Some(Atom::Request(atom));
        match name {
            "h" => request(R::RemoteAddress),
            "l" => Some(Atom::Absent),
            "u" => request(R::User),
            "t" => end(E::Time),
            "r" => request(R::RequestLine),
            "m" => request(R::Method),
            "U" => request(R::Path),
            "q" => request(R::Query),
            "H" => request(R::Protocol),
            "s" => end(E::Status),
            "B" | "b" => end(E::Bytes),
            "f" => request(R::Referer),
            "a" => request(R::UserAgent),
            "T" => end(E::Seconds),
            "M" => end(E::Milliseconds),
            "D" => end(E::Microseconds),
            "L" => end(E::DecimalSeconds),
            "p" => end(E::Pid),
            "queue" => end(E::Queued),
            _ => None,
        }
    }

    /// The place of an environ variable. CGI's names are upper-case; those with a dot (`wsgi.url_scheme`) are
    /// what they are.
    fn environ(&mut self, name: &str) -> usize {
        let name = if name.contains('.') { name.to_owned() } else { name.to_ascii_uppercase() };
        self.environ.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.environ.push(name);
            self.environ.len() - 1
        })
    }
}

impl RequestAtom {
    /// What a variable of the environ is made of.
    fn of_variable(name: &str) -> Option<Self> {
        match name {
            "REQUEST_METHOD" => Some(Self::Method),
            "RAW_URI" => Some(Self::Target),
            "PATH_INFO" => Some(Self::Path),
            "QUERY_STRING" => Some(Self::Query),
            "SERVER_PROTOCOL" => Some(Self::Protocol),
            "REMOTE_ADDR" => Some(Self::RemoteAddress),
            _ => {
                let header = name.strip_prefix("HTTP_")?.replace('_', "-");
                HeaderName::from_bytes(header.as_bytes()).ok().map(Self::Header)
            }
        }
    }
}

impl Atom {
    /// Whether Python's `%d` takes it. gunicorn's status is text, but nothing is lost by printing it so.
    fn is_number(&self) -> bool {
        use EndAtom as E;
        matches!(self, Self::End(E::Status | E::Bytes | E::Seconds | E::Milliseconds | E::Microseconds))
    }
}

/// Splits `(name)rest`; parentheses inside the name are counted, as Python does.
fn named(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 1;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

/// Reads flags, width, precision and length modifier; returns the letter of the conversion, and the rest.
fn shape(text: &str) -> (Shape, Option<char>, &str) {
    let mut shape = Shape::default();
    let flags = text.len() - text.trim_start_matches(['#', '0', '-', ' ', '+']).len();
    for flag in text[..flags].chars() {
        match flag {
            '-' => shape.left = true,
            '0' => shape.zeros = true,
            '+' => shape.plus = true,
            ' ' => shape.space = true,
            _ => {}
        }
    }
    let (width, rest) = digits(&text[flags..]);
    shape.width = width.unwrap_or(0);
    let rest = match rest.strip_prefix('.') {
        Some(behind) => {
            let (precision, rest) = digits(behind);
            shape.precision = Some(precision.unwrap_or(0));
            rest
        }
        None => rest,
    };
    let rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let mut letters = rest.chars();
    let letter = letters.next();
    (shape, letter, letters.as_str())
}

fn digits(text: &str) -> (Option<usize>, &str) {
    let (digits, rest) =
        text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    if digits.is_empty() { (None, rest) } else { (Some(digits.parse().unwrap_or(usize::MAX)), rest) }
}

/// The beginning of a text, for a message.
fn cut(text: &str) -> String {
    text.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(format: &str) -> Vec<String> {
        Grammar::parse(format).unwrap_err().0
    }

    fn doubts(format: &str) -> Vec<String> {
        Grammar::parse(format).unwrap().doubts
    }

    #[test]
    fn literals_and_absent_atoms_become_one_piece() {
        let grammar = Grammar::parse("100%% %(l)s [%(nobody)s] %({a}x)s").unwrap();
        assert_eq!(grammar.parts, [Part::Literal("100% - [-] -".to_owned())]);
    }

    #[test]
    fn what_gunicorn_cannot_print_is_told_at_once_and_names_the_atom() {
        let faults = faults("%(h)d %s %(x)y %d %(L).3f %(a)99999s %(u)");
        assert!(faults[0].contains("'%(h)d'") && faults[0].contains("'%(h)s'"));
        assert!(faults[1].contains("'%(x)y' is no conversion"));
        assert!(faults[2].contains("'%d' has no name in parentheses"));
        assert!(faults[3].contains("'%(L).3f'"));
        assert!(faults[4].contains("ends without a conversion"));
        assert_eq!(faults.len(), 5);
    }

    #[test]
    fn what_is_printed_as_nothing_is_told_too() {
        assert_eq!(doubts("%(h)s %(D)x %(T).3f %({x}y)s %(l)s"), [""; 0]);
        let doubts = doubts("%(I)s %(ms).2f %s %(D)c %(a)99999s");
        assert!(doubts[0].contains("'%(I)s' names no atom"));
        assert!(doubts[1].contains("'%(ms).2f' names no atom"));
        assert!(doubts[2].contains("'%s' has no name in parentheses"));
        assert!(doubts[3].contains("'%(D)c' is printed as '-'"));
        assert!(doubts[4].contains("no wider than 4096"));
        assert_eq!(doubts.len(), 5);
    }

    #[test]
    fn a_name_that_never_closes_is_a_fault() {
        assert!(faults("%(h")[0].contains("'%(h'"));
        assert!(faults("%")[0].contains("write '%%'"));
    }

    #[test]
    fn environ_names_are_listed_once_in_their_usual_case() {
        let grammar = Grammar::parse("%({server_name}e)s %({SERVER_NAME}e)s %({wsgi.url_scheme}e)s").unwrap();
        assert_eq!(grammar.environ, ["SERVER_NAME", "wsgi.url_scheme"]);
    }

    #[test]
    fn shapes_are_read_as_python_reads_them() {
        let grammar = Grammar::parse("%(h)-15s%(D)+08ld%(a).20s").unwrap();
        let shapes: Vec<_> = grammar
            .parts
            .iter()
            .map(|part| match part {
                Part::Atom(_, shape) => *shape,
                Part::Literal(text) => panic!("{text}"),
            })
            .collect();
        let none = Shape::default();
        assert_eq!(shapes[0], Shape { left: true, width: 15, ..none });
        assert_eq!(
            shapes[1],
            Shape { notation: Some(Notation::Decimal), plus: true, zeros: true, width: 8, ..none }
        );
        assert_eq!(shapes[2], Shape { precision: Some(20), ..none });
    }
}
