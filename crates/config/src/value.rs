//! From a value as some layer gave it to the value that its setting's kind demands, as lenient as gunicorn.

use std::fmt;
use std::time::Duration;

use figment::value::{Dict, Empty, Num, Tag, Value};

use crate::foreign::Foreign;
use crate::table::{Kind, Setting};

/// A value of the type that its setting demands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    /// Nothing.
    Unset,
    /// A string.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A time.
    Seconds(Duration),
    /// A boolean.
    Bool(bool),
    /// Several strings.
    List(Vec<String>),
    /// Pairs of strings.
    Pairs(Vec<(String, String)>),
    /// A dictionary of anything.
    Dictionary(Dict),
}

impl Typed {
    /// The same as a value of a config file.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Unset => Value::Empty(Tag::Default, Empty::None),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Int(number) => Value::from(*number),
            Self::Seconds(time) if time.subsec_nanos() == 0 => Value::from(time.as_secs()),
            Self::Seconds(time) => Value::from(time.as_secs_f64()),
            Self::Bool(truth) => Value::from(*truth),
            Self::List(items) => Value::from(items.clone()),
            Self::Dictionary(items) => Value::from(items.clone()),
            Self::Pairs(pairs) => {
                let pair = |(name, value): &(String, String)| (name.clone(), Value::from(value.as_str()));
                Value::from(pairs.iter().map(pair).collect::<Dict>())
            }
        }
    }
}

impl fmt::Display for Typed {
    /// As the value would be written in a config file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("None"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Int(number) => number.fmt(f),
            Self::Seconds(time) => time.as_secs_f64().fmt(f),
            Self::Bool(truth) => f.write_str(if *truth { "True" } else { "False" }),
            Self::List(items) => write!(f, "{items:?}"),
            Self::Dictionary(_) => f.write_str("a dictionary"),
            Self::Pairs(pairs) => {
                f.debug_map().entries(pairs.iter().map(|(name, value)| (name, value))).finish()
            }
        }
    }
}

/// How much of an object's description a message shows, in characters.
const SHOWN: usize = 80;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What the value should have been, such as "a whole number of 0 or more".
    pub(crate) expected: String,
    /// Whether the value is not even of the right type, for which gunicorn's command line exits with 2.
    pub(crate) malformed: bool,
}

impl Wrong {
    pub(crate) fn new(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), malformed: false }
    }
}

/// Reads a value of this setting. Where gunicorn takes `None` for a text or a word, it is the default.
pub(crate) fn of(setting: &Setting, value: &Value) -> Result<Typed, Wrong> {
    match (setting.kind, value) {
        (Kind::Text | Kind::Choice(_), Value::Empty(..)) => typed(setting.kind, &setting.default.value()),
        _ => typed(setting.kind, value),
    }
}

/// Reads a value as the kind demands.
pub(crate) fn typed(kind: Kind, value: &Value) -> Result<Typed, Wrong> {
    match kind {
        Kind::Text => match value {
            Value::Empty(..) => Err(Wrong::new("a string")),
            _ => Ok(Typed::Text(text(value)?)),
        },
        Kind::OptionalText => match value {
            Value::Empty(..) => Ok(Typed::Unset),
            _ => Ok(Typed::Text(text(value)?)),
        },
        Kind::Int(least, most) => int(value, least, most, "").map(Typed::Int),
        Kind::IntOrAuto(least, most) => match value.as_str() {
            Some(word) if word.trim().eq_ignore_ascii_case("auto") => Ok(Typed::Text("auto".to_owned())),
            _ => int(value, least, most, " or `auto`").map(Typed::Int),
        },
        Kind::Mode => mode(value).map(Typed::Int),
        Kind::Switch(_) => switch(value),
        Kind::Bool => match value {
            Value::Empty(..) => Err(Wrong::new("true or false")),
            _ => switch(value),
        },
        Kind::Seconds(most) => seconds(value, most).map(Typed::Seconds),
        Kind::Choice(words) => choice(value, words),
        Kind::OptionalChoice(words, alone) => optional_choice(value, words, alone),
        Kind::List => list(value).map(Typed::List),
        Kind::Commas => commas(value).map(Typed::List),
        Kind::Pairs => pairs(value).map(Typed::Pairs),
        Kind::Class => class(value),
        Kind::Dictionary => match (value, Foreign::of(value)) {
            (Value::Empty(..), _) | (_, Some(Foreign::Dictionary(&[]))) => Ok(Typed::Unset),
            (_, Some(Foreign::Dictionary(pairs))) => {
                Ok(Typed::Dictionary(pairs.iter().filter_map(pair).collect()))
            }
            _ => Err(Wrong::new("a dictionary")),
        },
        Kind::Account => account(value),
        Kind::Object => Ok(object(value)),
        Kind::Function => match (value, Foreign::of(value)) {
            (Value::Empty(..), _) => Ok(Typed::Unset),
            (_, Some(Foreign::Function)) => Ok(Typed::Text(show(value))),
            (Value::String(_, name), _) if name.contains('.') => Ok(Typed::Text(name.clone())),
            _ => Err(Wrong::new("a function, the dotted name of one, or None")),
        },
    }
}

fn text(value: &Value) -> Result<String, Wrong> {
    value.as_str().map(|text| text.trim().to_owned()).ok_or_else(|| Wrong::new("a string"))
}

fn int(value: &Value, least: i64, most: i64, or: &str) -> Result<i64, Wrong> {
    let bounds =
        if most == i64::MAX { format!("of {least} or more") } else { format!("from {least} to {most}") };
    let wrong = |malformed| Wrong { expected: format!("a whole number {bounds}{or}"), malformed };
    let number = number(value, parse_int).ok_or_else(|| wrong(true))?;
    match i64::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(wrong(false)),
    }
}

/// Whole or with a fraction, in milliseconds at the finest: what is shorter would not be what zero means.
fn seconds(value: &Value, most: u32) -> Result<Duration, Wrong> {
    let wrong = |malformed| Wrong {
        expected: format!("a number of seconds from 0 to {most}, such as 20 or 0.5"),
        malformed,
    };
    let number = match value {
        Value::String(_, text) => text.trim().parse::<f64>().ok(),
        // A whole number that `i32` cannot hold is no time that could be allowed.
        Value::Num(_, number) => number
            .to_f64()
            .or_else(|| number.to_i128().map(|number| f64::from(i32::try_from(number).unwrap_or(i32::MAX)))),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite()).ok_or_else(|| wrong(true))?;
    if number == 0.0 || (0.001..=f64::from(most)).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err(wrong(false))
    }
}

/// A umask or the like: gunicorn reads a leading zero as octal here.
fn mode(value: &Value) -> Result<i64, Wrong> {
    let wrong = |malformed| Wrong { expected: "a mode from 0 to 0o777, such as 0o022".to_owned(), malformed };
    let octal = |text: &str| match text.trim().strip_prefix('0') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            i128::from_str_radix(digits, 8).ok()
        }
        _ => parse_int(text),
    };
    let number = number(value, octal).ok_or_else(|| wrong(true))?;
    match i64::try_from(number) {
        Ok(number) if (0..=0o777).contains(&number) => Ok(number),
        _ => Err(wrong(false)),
    }
}

/// The name of a user or a group, or its number. The largest number means nobody to the kernel.
fn account(value: &Value) -> Result<Typed, Wrong> {
    let wrong = || Wrong::new("a name or a number");
    let number = match value {
        Value::Empty(..) => return Ok(Typed::Unset),
        Value::Bool(..) => return Err(wrong()),
        Value::String(_, text) => match text.trim() {
            "" => return Ok(Typed::Unset),
            name if !name.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Ok(Typed::Text(name.to_owned()));
            }
            digits => digits.parse().ok(),
        },
        other => number(other, |_| None),
    };
    let id = number.filter(|id| (0..i128::from(u32::MAX)).contains(id)).and_then(|id| i64::try_from(id).ok());
    id.map(Typed::Int).ok_or_else(wrong)
}

fn number(value: &Value, parse: impl Fn(&str) -> Option<i128>) -> Option<i128> {
    match value {
        Value::String(_, text) => parse(text),
        // Python's booleans are integers, and gunicorn lets them pass.
        Value::Bool(_, truth) => Some(i128::from(*truth)),
        Value::Num(_, Num::F32(_) | Num::F64(_)) => None,
        Value::Num(_, number) => {
            number.to_i128().or_else(|| number.to_u128().and_then(|number| i128::try_from(number).ok()))
        }
        _ => None,
    }
}

/// Reads what Python's `int(text, 0)` reads.
fn parse_int(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        _ => (lower.as_str(), 10),
    };
    let plain = !digits.starts_with(['+', '-', '_']) && !digits.ends_with('_') && !digits.contains("__");
    // As Python 3, take no leading zeros, which once meant octal.
    let clear = radix != 10 || !digits.starts_with('0') || digits.bytes().all(|byte| byte == b'0');
    if !plain || !clear {
        return None;
    }
    let number = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -number } else { number })
}

fn switch(value: &Value) -> Result<Typed, Wrong> {
    let wrong = || Wrong::new("true or false");
    match value {
        Value::Empty(..) => Ok(Typed::Unset),
        Value::Bool(_, truth) => Ok(Typed::Bool(*truth)),
        Value::String(_, text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Typed::Bool(true)),
            "false" => Ok(Typed::Bool(false)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn choice(value: &Value, words: &[&str]) -> Result<Typed, Wrong> {
    let given = value.as_str().map(|word| word.trim().to_ascii_lowercase());
    match given {
        Some(given) if words.contains(&given.as_str()) => Ok(Typed::Text(given)),
        _ => Err(Wrong::new(format!("one of {}", words.join(", ")))),
    }
}

/// Booleans, and the words that gunicorn takes for them, are understood too.
fn optional_choice(value: &Value, words: &[&str], alone: &str) -> Result<Typed, Wrong> {
    let word = match value {
        Value::Empty(..) | Value::Bool(_, false) => return Ok(Typed::Text(words[0].to_owned())),
        Value::Bool(_, true) => return Ok(Typed::Text(alone.to_owned())),
        _ => value.as_str().map(|word| word.trim().to_ascii_lowercase()),
    };
    match word.as_deref() {
        Some("false" | "0" | "none") => Ok(Typed::Text(words[0].to_owned())),
        Some("true" | "1") => Ok(Typed::Text(alone.to_owned())),
        Some(word) if words.contains(&word) => Ok(Typed::Text(word.to_owned())),
        _ => Err(Wrong::new(format!("one of {}", words.join(", ")))),
    }
}

fn list(value: &Value) -> Result<Vec<String>, Wrong> {
    match value {
        Value::Empty(..) => Ok(Vec::new()),
        Value::String(_, text) if text.trim().is_empty() => Ok(Vec::new()),
        Value::String(_, text) => Ok(vec![text.trim().to_owned()]),
        Value::Array(_, items) => items.iter().map(text).collect(),
        _ => Err(Wrong::new("a string or a list of strings")),
    }
    .map_err(|_| Wrong::new("a string or a list of strings"))
}

fn commas(value: &Value) -> Result<Vec<String>, Wrong> {
    let items = list(value).map_err(|_| Wrong::new("strings, separated by commas or in a list"))?;
    let parts = items.iter().flat_map(|item| item.split(','));
    Ok(parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

fn pairs(value: &Value) -> Result<Vec<(String, String)>, Wrong> {
    let wrong = || Wrong::new("a dictionary of strings");
    let Some(Foreign::Dictionary(items)) = Foreign::of(value) else { return Err(wrong()) };
    let pair = |item: &Value| match item {
        Value::Array(_, pair) => match pair.as_slice() {
            [name, value] => Ok((text(name)?, text(value)?)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    };
    let mut pairs: Vec<_> = items.iter().map(pair).collect::<Result<_, _>>().map_err(|_| wrong())?;
    // A dictionary has no order, and what comes from several places should look the same.
    pairs.sort();
    Ok(pairs)
}

/// An entry of a dictionary that is one value.
fn pair(value: &Value) -> Option<(String, Value)> {
    match value.as_array()? {
        [name, value] => Some((name.as_str()?.to_owned(), value.clone())),
        _ => None,
    }
}

/// A class is told by how Python shows it.
fn class(value: &Value) -> Result<Typed, Wrong> {
    match (value, Foreign::of(value)) {
        (Value::String(_, text), _) => Ok(Typed::Text(text.trim().to_owned())),
        (_, Some(Foreign::Object(text))) if text.starts_with("<class '") => Ok(Typed::Text(text.to_owned())),
        (Value::Empty(..), _) => Ok(Typed::Unset),
        _ => Err(Wrong::new("a class, or the dotted name of one")),
    }
}

/// What a setting holds that only Python understands. It is only compared with the default.
fn object(value: &Value) -> Typed {
    match value {
        Value::Empty(..) => Typed::Unset,
        Value::Array(_, items) if items.is_empty() => Typed::Unset,
        _ if Foreign::of(value) == Some(Foreign::Dictionary(&[])) => Typed::Unset,
        Value::String(_, text) => Typed::Text(text.trim().to_owned()),
        Value::Bool(_, truth) => Typed::Bool(*truth),
        _ => Typed::Text(show(value)),
    }
}

/// The value as a message shows it: short, and as it would be written in a config file.
pub(crate) fn show(value: &Value) -> String {
    match Foreign::of(value) {
        Some(Foreign::Function) => return "a function".to_owned(),
        Some(Foreign::Object(text)) => return text.chars().take(SHOWN).collect(),
        Some(Foreign::Dictionary(_)) => return "a dictionary".to_owned(),
        None => {}
    }
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, letter) => format!("{letter:?}"),
        Value::Bool(_, true) => "True".to_owned(),
        Value::Bool(_, false) => "False".to_owned(),
        Value::Num(_, number) => match number.to_f64() {
            // As Python shows it: 2.0, and not 2.
            Some(float) => format!("{float:?}"),
            None => number.to_i128().map_or_else(|| "a large number".to_owned(), |number| number.to_string()),
        },
        Value::Empty(..) => "None".to_owned(),
        Value::Dict(..) => "a dictionary".to_owned(),
        Value::Array(_, items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Preset;

    fn int_of(value: impl Into<Value>) -> Result<Typed, Wrong> {
        typed(Kind::Int(0, i64::MAX), &value.into())
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for text in ["16", " 16 ", "+16", "0x10", "0X10", "0o20", "0b10000", "1_6"] {
            assert_eq!(int_of(text), Ok(Typed::Int(16)), "{text}");
        }
        for text in ["", "abc", "012", "1.5", "1__6", "_16", "16_", "0x", "--1", "0x-1", "1 6"] {
            assert!(int_of(text).unwrap_err().malformed, "{text}");
        }
        assert_eq!(int_of("00"), Ok(Typed::Int(0)));
        assert_eq!(int_of(true), Ok(Typed::Int(1)));
        assert!(int_of(2.0).unwrap_err().malformed);
        assert_eq!(int_of(-1).unwrap_err().expected, "a whole number of 0 or more");
        assert!(!int_of("-1").unwrap_err().malformed);
        assert!(int_of("99999999999999999999").is_err());
    }

    #[test]
    fn a_mode_with_a_leading_zero_is_octal() {
        let mode = |text: &str| typed(Kind::Mode, &Value::from(text));
        assert_eq!(mode("022"), Ok(Typed::Int(0o22)));
        assert_eq!(mode("0o22"), Ok(Typed::Int(0o22)));
        assert_eq!(mode("0x12"), Ok(Typed::Int(0o22)));
        assert_eq!(mode("18"), Ok(Typed::Int(0o22)));
        assert_eq!(mode("0"), Ok(Typed::Int(0)));
        assert!(mode("09").is_err());
        assert!(mode("01000").is_err());
    }

    #[test]
    fn booleans_may_be_words_but_not_numbers() {
        let switch = |value: Value| typed(Kind::Switch(true), &value);
        assert_eq!(switch("true".into()), Ok(Typed::Bool(true)));
        assert_eq!(switch(" False ".into()), Ok(Typed::Bool(false)));
        assert_eq!(switch(true.into()), Ok(Typed::Bool(true)));
        assert!(switch(1.into()).is_err());
        assert!(switch("yes".into()).is_err());
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        let seconds = |value: Value| typed(Kind::Seconds(3600), &value);
        let of = |millis| Ok(Typed::Seconds(Duration::from_millis(millis)));
        for (value, millis) in [
            (Value::from("20"), 20_000),
            (" 0.5 ".into(), 500),
            (2.5.into(), 2_500),
            (3600.into(), 3_600_000),
            ("0".into(), 0),
            ("1e-3".into(), 1),
        ] {
            assert_eq!(seconds(value.clone()), of(millis), "{value:?}");
        }
        for malformed in [Value::from("soon"), "".into(), "nan".into(), "inf".into(), true.into()] {
            assert!(seconds(malformed.clone()).unwrap_err().malformed, "{malformed:?}");
        }
        for outside in [Value::from("-1"), 3601.into(), (-0.5).into(), "0.0001".into()] {
            assert!(!seconds(outside.clone()).unwrap_err().malformed, "{outside:?}");
        }
        assert_eq!(of(20_000).unwrap().to_string(), "20");
        assert_eq!(of(500).unwrap().to_string(), "0.5");
    }

    #[test]
    fn a_boolean_whose_flag_takes_a_word_is_not_left_open() {
        let truth = |value: Value| typed(Kind::Bool, &value);
        assert_eq!(truth("False".into()), Ok(Typed::Bool(false)));
        assert_eq!(truth(true.into()), Ok(Typed::Bool(true)));
        assert!(truth(Preset::Unset.value()).is_err());
        assert!(truth("maybe".into()).is_err());
    }

    #[test]
    fn a_choice_that_needs_no_value_takes_booleans() {
        let mode = |value: Value| typed(Kind::OptionalChoice(&["off", "v1", "auto"], "auto"), &value);
        for no in [Value::from(false), "off".into(), "None".into(), " FALSE ".into(), "0".into()] {
            assert_eq!(mode(no), Ok(Typed::Text("off".into())));
        }
        for yes in [Value::from(true), "auto".into(), "True".into(), "1".into()] {
            assert_eq!(mode(yes), Ok(Typed::Text("auto".into())));
        }
        assert_eq!(mode("V1".into()), Ok(Typed::Text("v1".into())));
        assert_eq!(mode("v3".into()).unwrap_err().expected, "one of off, v1, auto");
        assert!(mode(1.into()).is_err());
    }

    #[test]
    fn lists_may_be_one_string() {
        assert_eq!(typed(Kind::List, &"a".into()), Ok(Typed::List(vec!["a".into()])));
        assert_eq!(typed(Kind::List, &vec![" a", "b"].into()), Ok(Typed::List(vec!["a".into(), "b".into()])));
        assert_eq!(typed(Kind::List, &"".into()), Ok(Typed::List(vec![])));
        assert_eq!(typed(Kind::Commas, &"a, b,".into()), Ok(Typed::List(vec!["a".into(), "b".into()])));
        assert_eq!(typed(Kind::Commas, &vec!["a,b", "c"].into()).unwrap(), {
            Typed::List(vec!["a".into(), "b".into(), "c".into()])
        });
        assert!(typed(Kind::List, &vec![1, 2].into()).is_err());
    }
}
