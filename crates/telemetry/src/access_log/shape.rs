//! Appends one value in the shape that its conversion asks for, padding what is already in place.

use super::grammar::{Notation, Shape};
use crate::escape::push_escaped;
use crate::json::push_string;

/// What JSON has for a value that is not there.
pub(super) const NULL: &[u8] = b"null";

impl Shape {
    /// Appends text of a client, or of the application: cut to the precision, escaped, then padded. It is cut
    /// first, so that no escape is cut in two and left to swallow the quote behind it.
    pub(super) fn push_text(&self, out: &mut Vec<u8>, text: &[u8]) {
        if self.json {
            return push_string(out, text);
        }
        let start = out.len();
        push_escaped(out, &text[..self.precision.unwrap_or(text.len()).min(text.len())]);
        self.pad(out, start);
    }

    /// Appends what stands for a value that is not there.
    pub(super) fn push_absent(&self, out: &mut Vec<u8>) {
        match self.json {
            true => out.extend_from_slice(NULL),
            false => self.push_safe(out, b"-"),
        }
    }

    /// Appends text of ours that has nothing to escape.
    pub(super) fn push_safe(&self, out: &mut Vec<u8>, text: &[u8]) {
        self.push_with(out, |out| out.extend_from_slice(text));
    }

    /// Appends what the function appends, which has nothing to escape.
    #[inline]
    pub(super) fn push_with(&self, out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
        if self.json {
            out.push(b'"');
            push(out);
            return out.push(b'"');
        }
        let start = out.len();
        push(out);
        if let Some(precision) = self.precision {
            out.truncate(start + precision);
        }
        self.pad(out, start);
    }

    /// Appends a number.
    pub(super) fn push_number(&self, out: &mut Vec<u8>, number: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        if self.json {
            return out.extend_from_slice(digits);
        }
        match self.notation {
            None => self.push_safe(out, digits),
            Some(Notation::Decimal) => self.push_signed(out, digits, self.precision),
            Some(Notation::Octal) => self.push_signed(out, format!("{number:o}").as_bytes(), self.precision),
            Some(Notation::Hex) => self.push_signed(out, format!("{number:x}").as_bytes(), self.precision),
            Some(Notation::UpperHex) => {
                self.push_signed(out, format!("{number:X}").as_bytes(), self.precision)
            }
            Some(Notation::Fixed) => {
                let mut text = digits.to_vec();
                let decimals = self.precision.unwrap_or(6);
                if decimals > 0 {
                    text.push(b'.');
                    text.resize(text.len() + decimals, b'0');
                }
                self.push_signed(out, &text, None);
            }
        }
    }

    /// Appends digits with a sign if one is wanted; a precision is the least number of them.
    fn push_signed(&self, out: &mut Vec<u8>, digits: &[u8], precision: Option<usize>) {
        let start = out.len();
        if self.plus || self.space {
            out.push(if self.plus { b'+' } else { b' ' });
        }
        let signed = out.len();
        // Flag 0 fills the width with digits unless flag - is there.
        let fill = if self.zeros && !self.left { self.width.saturating_sub(signed - start) } else { 0 };
        let least = precision.unwrap_or(0).max(fill);
        out.resize(signed + least.saturating_sub(digits.len()), b'0');
        out.extend_from_slice(digits);
        self.pad(out, start);
    }

    /// Fills what was appended since `start` with spaces up to the width.
    #[inline]
    fn pad(&self, out: &mut Vec<u8>, start: usize) {
        let missing = self.width.saturating_sub(out.len() - start);
        if missing > 0 {
            self.pad_by(out, start, missing);
        }
    }

    #[cold]
    fn pad_by(&self, out: &mut Vec<u8>, start: usize, missing: usize) {
        out.resize(out.len() + missing, b' ');
        if !self.left {
            out[start..].rotate_right(missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(shape: Shape) -> String {
        let mut out = b"|".to_vec();
        Shape { notation: shape.notation.or(Some(Notation::Decimal)), ..shape }.push_number(&mut out, 1234);
        out.push(b'|');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_look_as_python_prints_them() {
        let none = Shape::default();
        assert_eq!(number(none), "|1234|");
        assert_eq!(number(Shape { width: 8, ..none }), "|    1234|");
        assert_eq!(number(Shape { width: 8, left: true, zeros: true, ..none }), "|1234    |");
        assert_eq!(number(Shape { width: 8, plus: true, zeros: true, ..none }), "|+0001234|");
        assert_eq!(number(Shape { width: 8, space: true, precision: Some(6), ..none }), "|  001234|");
        assert_eq!(number(Shape { width: 2, ..none }), "|1234|");
        let as_a = |notation| Shape { notation: Some(notation), ..none };
        assert_eq!(number(Shape { width: 8, zeros: true, ..as_a(Notation::Hex) }), "|000004d2|");
        assert_eq!(number(as_a(Notation::UpperHex)), "|4D2|");
        assert_eq!(number(as_a(Notation::Octal)), "|2322|");
        assert_eq!(number(as_a(Notation::Fixed)), "|1234.000000|");
        assert_eq!(number(Shape { precision: Some(1), width: 8, ..as_a(Notation::Fixed) }), "|  1234.0|");
    }

    #[test]
    fn text_is_cut_before_it_is_escaped_and_padded_after() {
        let mut out = b"|".to_vec();
        Shape { width: 6, precision: Some(2), ..Shape::default() }.push_text(&mut out, b"a\"bcd");
        out.push(b'|');
        assert_eq!(out, b"|   a\\\"|");
    }
}
