//! Newtypes over text: one parser each, written to and read from JSON as that text.

/// Text of a user in a message: at most `chars` of it, control characters escaped, since messages go to terminals, logs
/// and receipts.
pub(crate) fn shown(text: &str, chars: usize) -> String {
    text.chars().take(chars).flat_map(char::escape_debug).collect()
}

/// Implements serde for a type through its `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($($name:ty),* $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

/// An enum of words: `as_str`, `ALL`, `Display`, `FromStr` (which lists the known words) and serde.
macro_rules! words {
    ($($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$doc])* $variant,)* }

        impl $crate::text::Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($text, Self::$variant),)*];
        }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word as it is written in routes and receipts.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    $crate::text::UnknownWord::new(text, Self::ALL.iter().map(|word| word.as_str()))
                })
            }
        }

        serde_as_text!($name);
    )*};
}

/// The words of an enum, each with its value.
pub(crate) trait Word: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// A text that is none of the words a field knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not one of {known}")]
pub struct UnknownWord {
    text: String,
    known: String,
}

impl UnknownWord {
    pub(crate) fn new<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self { text: shown(text, 64), known: known.collect::<Vec<_>>().join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ByteSize, Code, JobId, RouteId, route::KeyTemplate, route::StorageClass};

    fn refusal<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> String {
        text.parse::<T>().err().expect("it is refused").to_string()
    }

    #[test]
    fn refusals_are_short_and_printable() {
        let text = format!("{{\u{1b}[31m\n{}}}", "x".repeat(100_000));
        for message in [
            refusal::<ByteSize>(&text),
            refusal::<Code>(&text),
            refusal::<JobId>(&text),
            refusal::<RouteId>(&text),
            refusal::<KeyTemplate>(&text),
            refusal::<StorageClass>(&text),
        ] {
            assert!(message.contains("\\u{1b}[31m\\nxxx"), "{message}");
            assert!(message.len() < 500 && !message.contains(char::is_control), "{message}");
        }
    }
}
