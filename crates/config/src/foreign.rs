//! Values that figment has no word for: what only Python understands, and a dictionary that is one value.
//!
//! figment would mix the dictionaries of several layers into one, so such a value travels as a dictionary with a
//! single entry, whose content a higher layer replaces as a whole.

use figment::value::{Dict, Value};

/// The name of that entry, which no dictionary in a config file has.
const MARK: &str = "\0foreign";

const FUNCTION: &str = "function";
const OBJECT: &str = "object";
const DICTIONARY: &str = "dictionary";

/// Such a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Foreign<'a> {
    /// A function, such as a hook.
    Function,
    /// An object of any other kind, as its `repr` describes it.
    Object(&'a str),
    /// A dictionary, as pairs of name and value.
    Dictionary(&'a [Value]),
}

impl<'a> Foreign<'a> {
    /// The value as figment carries it.
    #[must_use]
    pub fn to_value(self) -> Value {
        let (kind, content) = match self {
            Self::Function => (FUNCTION, Value::from("")),
            Self::Object(text) => (OBJECT, Value::from(text)),
            Self::Dictionary(pairs) => (DICTIONARY, Value::from(pairs.to_vec())),
        };
        Value::from(Dict::from([(MARK.to_owned(), Value::from(vec![Value::from(kind), content]))]))
    }

    /// What a value stands for; `None` for a value that is itself.
    #[must_use]
    pub fn of(value: &'a Value) -> Option<Self> {
        let [kind, content] = value.as_dict()?.get(MARK)?.as_array()? else { return None };
        match kind.as_str()? {
            FUNCTION => Some(Self::Function),
            OBJECT => content.as_str().map(Self::Object),
            DICTIONARY => content.as_array().map(Self::Dictionary),
            _ => None,
        }
    }
}

/// A dictionary as one value.
pub(crate) fn whole(value: Value) -> Value {
    match &value {
        Value::Dict(_, items) if Foreign::of(&value).is_none() => {
            let pair = |(name, value): (&String, &Value)| {
                Value::from(vec![Value::from(name.as_str()), value.clone()])
            };
            Foreign::Dictionary(&items.iter().map(pair).collect::<Vec<_>>()).to_value()
        }
        _ => value,
    }
}
