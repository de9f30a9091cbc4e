//! What a master and a mold say to each other.

/// What a master wants of its mold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A worker. Its control socket, its stack file and the listeners come with it, in this order.
    Worker {
        /// Its age.
        age: u64,
        /// The number of its slot of the scoreboard.
        slot: usize,
    },
    /// Log files that are opened again.
    Reopen,
}

/// What a mold tells its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has the app and can fork.
    Loaded,
    /// The import of the app asked for the end of the process.
    AskedToExit {
        /// The status that it wanted.
        status: u8,
    },
    /// It has forked a worker, which begins as soon as this is sent.
    Forked {
        /// The worker's age.
        age: u64,
        /// Its process.
        pid: i32,
    },
    /// It cannot fork it.
    NotForked {
        /// The worker's age.
        age: u64,
        /// The reason, for the log.
        why: String,
    },
    /// The hook that is called before a fork has failed.
    HookFailed {
        /// The worker's age.
        age: u64,
        /// The status with which the hook asked the server to end.
        exit: Option<u8>,
        /// The traceback.
        details: String,
    },
}

/// The longest text of a message, in bytes; what is longer is cut.
const TEXT: usize = ferricorn_unix::post::LONGEST - HEAD;
/// Bytes before the text: what it is, an age, and a number.
const HEAD: usize = 1 + 8 + 8;

impl Wish {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Worker { age, slot } => frame(b'W', *age, i64::try_from(*slot).unwrap_or(-1), ""),
            Self::Reopen => frame(b'O', 0, 0, ""),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, age, number, _) = parts(bytes)?;
        match kind {
            b'W' => Some(Self::Worker { age, slot: usize::try_from(number).ok()? }),
            b'O' => Some(Self::Reopen),
            _ => None,
        }
    }
}

impl Answer {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Loaded => frame(b'L', 0, 0, ""),
            Self::AskedToExit { status } => frame(b'X', 0, i64::from(*status), ""),
            Self::Forked { age, pid } => frame(b'F', *age, i64::from(*pid), ""),
            Self::NotForked { age, why } => frame(b'N', *age, 0, why),
            Self::HookFailed { age, exit, details } => frame(b'H', *age, exit.map_or(-1, i64::from), details),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, age, number, text) = parts(bytes)?;
        match kind {
            b'L' => Some(Self::Loaded),
            b'X' => Some(Self::AskedToExit { status: u8::try_from(number).ok()? }),
            b'F' => Some(Self::Forked { age, pid: i32::try_from(number).ok()? }),
            b'N' => Some(Self::NotForked { age, why: text }),
            b'H' => Some(Self::HookFailed { age, exit: u8::try_from(number).ok(), details: text }),
            _ => None,
        }
    }
}

fn frame(kind: u8, age: u64, number: i64, text: &str) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(age.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(&text.as_bytes()[..text.len().min(TEXT)]);
    bytes
}

fn parts(bytes: &[u8]) -> Option<(u8, u64, i64, String)> {
    let (kind, rest) = bytes.split_first()?;
    let (age, rest) = rest.split_first_chunk()?;
    let (number, text) = rest.split_first_chunk()?;
    let text = String::from_utf8_lossy(text).into_owned();
    Some((*kind, u64::from_le_bytes(*age), i64::from_le_bytes(*number), text))
}

#[cfg(test)]
mod tests {
    use super::{Answer, TEXT, Wish};

    #[test]
    fn every_message_survives_the_way() {
        for wish in [Wish::Worker { age: u64::MAX, slot: 1023 }, Wish::Reopen] {
            assert_eq!(Wish::from_bytes(&wish.to_bytes()), Some(wish));
        }
        let text = || "Traceback:\n  é".to_owned();
        let failed = |exit| Answer::HookFailed { age: 3, exit, details: text() };
        let not = Answer::NotForked { age: 2, why: text() };
        let (exit, forked) = (Answer::AskedToExit { status: 255 }, Answer::Forked { age: 1, pid: 4_194_304 });
        for answer in [Answer::Loaded, exit, forked, not, failed(None), failed(Some(0))] {
            assert_eq!(Answer::from_bytes(&answer.to_bytes()), Some(answer));
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_and_nonsense_is_no_message() {
        let long = Answer::NotForked { age: 2, why: "é".repeat(TEXT) };
        let Some(Answer::NotForked { why, .. }) = Answer::from_bytes(&long.to_bytes()) else {
            unreachable!()
        };
        assert!(long.to_bytes().len() == ferricorn_unix::post::LONGEST && why.starts_with("ééé"));
        for bytes in [&b""[..], b"L", b"Zabcdefghijklmnop", &Wish::Reopen.to_bytes()] {
            assert_eq!(Answer::from_bytes(bytes), None);
        }
    }
}
