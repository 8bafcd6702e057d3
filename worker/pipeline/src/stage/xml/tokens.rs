//! The push tokenizer: text in pieces in, the first fault out.

use eft_domain::route::Limits;
use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use super::chars::{bad_char, is_space, name_len};
use super::tag::{self, Wrong, short};

/// Longest reference: `&#x10FFFF;` with some zeros.
const MAX_REFERENCE: usize = 32;

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// Text, behind so many `]` (at most 2).
    Text(u8),
    /// A comment, behind so many `-` (at most 2).
    Comment(u8),
    /// A CDATA section, behind so many `]` (at most 2).
    Cdata(u8),
    /// A token that is held, from its `<` on.
    Markup,
    /// A token that is held, from its `&` on.
    Reference,
}

/// How far the document has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stretch {
    /// Nothing was read but a byte order mark.
    Start,
    /// Before the root element.
    Prolog,
    Root,
    /// Behind the root element.
    Epilog,
}

/// Where between two tokens it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    mode: Mode,
    stretch: Stretch,
}

/// The names of the open elements.
#[derive(Debug, Default)]
pub(super) struct Open {
    text: String,
    starts: Vec<usize>,
}

impl Open {
    fn push(&mut self, name: &str) {
        self.starts.push(self.text.len());
        self.text.push_str(name);
    }

    fn last(&self) -> Option<&str> {
        self.starts.last().map(|start| &self.text[*start..])
    }

    fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.text.truncate(start);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// From the root on.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let ends = self.starts.iter().skip(1).copied().chain([self.text.len()]);
        self.starts.iter().zip(ends).map(|(start, end)| &self.text[*start..end])
    }

    /// `, in /a/b`; the outermost and the innermost where there are many.
    fn shown(&self) -> String {
        let names: Vec<_> = self.names().map(short).collect();
        match &names[..] {
            [] => String::new(),
            [first, .., a, b, c] if names.len() > 6 => format!(", in /{first}/…/{a}/{b}/{c}"),
            _ => format!(", in /{}", names.join("/")),
        }
    }
}

/// The tokenizer.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) place: Place,
    pub(super) open: Open,
    held: String,
    held_at: u64,
    /// The quote of the attribute's value the held tag is in.
    quote: Option<u8>,
    root: Option<String>,
    max_depth: usize,
    max_token: usize,
    max_attributes: usize,
}

type Done = Result<(), Failure>;

impl Tokens {
    pub(super) fn new(root: Option<String>, limits: &Limits) -> Self {
        Self {
            place: Place { mode: Mode::Text(0), stretch: Stretch::Start },
            open: Open::default(),
            held: String::new(),
            held_at: 0,
            quote: None,
            root,
            max_depth: limits.max_depth as usize,
            max_token: usize::try_from(limits.max_record_bytes.bytes()).unwrap_or(usize::MAX),
            max_attributes: limits.max_fields as usize,
        }
    }

    /// Most memory it holds, in bytes: a token, the names, and the attributes of a tag in a set, each in room that has
    /// doubled.
    pub(super) fn memory(&self) -> u64 {
        let attributes = self.max_attributes.min(self.max_token / 5) as u64 * 64;
        (self.max_token as u64).saturating_mul(4).saturating_add(attributes) + self.max_depth as u64 * 16
    }

    /// No token is held.
    pub(super) fn is_between(&self) -> bool {
        !matches!(self.place.mode, Mode::Markup | Mode::Reference)
    }

    pub(super) fn restore(&mut self, open: Vec<String>, place: Place) -> Result<(), &'static str> {
        let fits = match (place.stretch, place.mode) {
            (_, Mode::Markup | Mode::Reference) => false,
            (Stretch::Root, _) => !open.is_empty(),
            (_, Mode::Cdata(_)) => false,
            (Stretch::Start, mode) => open.is_empty() && mode == Mode::Text(0),
            _ => open.is_empty(),
        };
        if !fits || open.len() > self.max_depth || open.iter().any(|name| name_len(name) != name.len()) {
            return Err("no place between two tokens");
        }
        self.place = place;
        open.iter().for_each(|name| self.open.push(name));
        Ok(())
    }

    /// Read a piece that starts at offset `base`; characters are never cut.
    pub(super) fn read(&mut self, text: &str, base: u64) -> Done {
        let bad = bad_char(text);
        let sound = &text[..bad.unwrap_or(text.len())];
        let mut at = 0;
        while at < sound.len() {
            at = match self.place.mode {
                Mode::Text(brackets) => self.text(sound, at, base, brackets)?,
                Mode::Comment(dashes) => self.comment(sound, at, base, dashes)?,
                Mode::Cdata(brackets) => self.cdata(sound, at, brackets),
                Mode::Markup => self.markup(sound, at, base)?,
                Mode::Reference => self.reference(sound, at)?,
            };
        }
        match bad {
            Some(at) => {
                let code = text[at..].chars().next().map_or(0, u32::from);
                Err(self
                    .corrupt(base + at as u64, &format!("character U+{code:04X}, which XML does not have,")))
            }
            None => Ok(()),
        }
    }

    /// The end of the file, at offset `end`.
    pub(super) fn finish(&mut self, end: u64) -> Done {
        let what = match (self.place.mode, self.place.stretch) {
            (Mode::Markup, _) => "in a tag",
            (Mode::Reference, _) => "in a reference",
            (Mode::Comment(_), _) => "in a comment",
            (Mode::Cdata(_), _) => "in a CDATA section",
            (Mode::Text(_), Stretch::Root) => "before the root element does",
            (Mode::Text(_), Stretch::Epilog) => return Ok(()),
            (Mode::Text(_), _) => "before its root element starts",
        };
        let message = format!("the file ends at byte {end} {what}{}", self.open.shown());
        Err(Failure::new(Code::FormatTruncated, message))
    }

    fn text(&mut self, text: &str, at: usize, base: u64, brackets: u8) -> Result<usize, Failure> {
        let bytes = text.as_bytes();
        if self.place.stretch == Stretch::Start && base + at as u64 == 0 && text[at..].starts_with('\u{feff}')
        {
            return Ok(at + '\u{feff}'.len_utf8());
        }
        match bytes[at] {
            b'<' => return Ok(self.hold(Mode::Markup, base, at)),
            b'&' if self.place.stretch == Stretch::Root => return Ok(self.hold(Mode::Reference, base, at)),
            b']' if self.place.stretch == Stretch::Root => {
                self.place.mode = Mode::Text((brackets + 1).min(2));
                return Ok(at + 1);
            }
            b'>' if brackets == 2 => return Err(self.corrupt(base + at as u64, "`]]>` in text")),
            _ => {}
        }
        self.place.mode = Mode::Text(0);
        if self.place.stretch != Stretch::Root {
            if !is_space(bytes[at]) {
                return Err(self.outside(base + at as u64, "text"));
            }
            self.place.stretch = self.place.stretch.max_prolog();
            return Ok(at + 1);
        }
        let rest = &bytes[at + 1..];
        Ok(at + 1 + memchr::memchr3(b'<', b'&', b']', rest).unwrap_or(rest.len()))
    }

    /// Start to hold a token.
    fn hold(&mut self, mode: Mode, base: u64, at: usize) -> usize {
        self.place.mode = mode;
        self.held.clear();
        self.held.push(if mode == Mode::Markup { '<' } else { '&' });
        self.held_at = base + at as u64;
        self.quote = None;
        at + 1
    }

    fn comment(&mut self, text: &str, at: usize, base: u64, dashes: u8) -> Result<usize, Failure> {
        let bytes = text.as_bytes();
        let (mode, next) = match (bytes[at], dashes) {
            (b'>', 2) => (Mode::Text(0), at + 1),
            (_, 2) => return Err(self.corrupt(base + at as u64, "`--` in a comment")),
            (b'-', dashes) => (Mode::Comment(dashes + 1), at + 1),
            _ => {
                let rest = &bytes[at + 1..];
                (Mode::Comment(0), at + 1 + memchr::memchr(b'-', rest).unwrap_or(rest.len()))
            }
        };
        self.place.mode = mode;
        Ok(next)
    }

    fn cdata(&mut self, text: &str, at: usize, brackets: u8) -> usize {
        let bytes = text.as_bytes();
        let (mode, next) = match (bytes[at], brackets) {
            (b'>', 2) => (Mode::Text(0), at + 1),
            (b']', brackets) => (Mode::Cdata((brackets + 1).min(2)), at + 1),
            _ => {
                let rest = &bytes[at + 1..];
                (Mode::Cdata(0), at + 1 + memchr::memchr(b']', rest).unwrap_or(rest.len()))
            }
        };
        self.place.mode = mode;
        next
    }

    fn reference(&mut self, text: &str, at: usize) -> Result<usize, Failure> {
        // One character after the other: references are short.
        let Some(c) = text[at..].chars().next() else { return Ok(text.len()) };
        self.held.push(c);
        let ended = c == ';';
        if ended || self.held.len() > MAX_REFERENCE || matches!(c, '<' | '&' | ' ' | '\t' | '\r' | '\n') {
            let token = std::mem::take(&mut self.held);
            tag::reference(&token).map_err(|wrong| self.wrong(wrong))?;
            self.held = token;
            self.place.mode = Mode::Text(0);
        }
        Ok(at + c.len_utf8())
    }

    fn markup(&mut self, text: &str, at: usize, base: u64) -> Result<usize, Failure> {
        let bytes = text.as_bytes();
        let rest = &bytes[at..];
        let (taken, whole) = match self.held.as_bytes() {
            // What it is is known behind these; then as far as it may go.
            b"<" if matches!(rest[0], b'!' | b'?') => (1, false),
            [b'<', b'!', ..] => (first_char(&text[at..]), false),
            [b'<', b'?', ..] => {
                let len = memchr::memchr(b'>', rest).map_or(rest.len(), |len| len + 1);
                let before = if len >= 2 { rest.get(len - 2) } else { self.held.as_bytes().last() };
                // `<?>` is not yet its end.
                (len, rest[len - 1] == b'>' && before == Some(&b'?') && self.held.len() + len > "<?>".len())
            }
            _ => self.tag_part(rest, base + at as u64)?,
        };
        if taken > self.max_token - self.held.len() {
            let observed =
                format!("{} bytes and more in the tag at byte {}", self.max_token + 1, self.held_at);
            return Err(Failure::limit(Code::LimitRecordBytes, observed, self.max_token));
        }
        self.held.push_str(&text[at..at + taken]);
        if self.held.starts_with("<!") {
            self.declaration()?;
        } else if whole {
            let token = std::mem::take(&mut self.held);
            self.place.mode = Mode::Text(0);
            self.token(&token)?;
            self.held = token;
        }
        Ok(at + taken)
    }

    /// How far a tag goes in `rest`, and whether it ends there.
    fn tag_part(&mut self, rest: &[u8], base: u64) -> Result<(usize, bool), Failure> {
        for (at, byte) in rest.iter().enumerate() {
            match (byte, self.quote) {
                (b'<', _) => {
                    return Err(self.corrupt(base + at as u64, "`<` in a tag; in a value write it as `&lt;`"));
                }
                (b'>', None) => return Ok((at + 1, true)),
                (b'"' | b'\'', None) => self.quote = Some(*byte),
                (byte, Some(quote)) if *byte == quote => self.quote = None,
                _ => {}
            }
        }
        Ok((rest.len(), false))
    }

    /// `<!` and more is held: a comment, a CDATA section, or what is refused.
    fn declaration(&mut self) -> Done {
        const CDATA: &str = "<![CDATA[";
        match self.held.as_str() {
            "<!--" => {
                self.place = Place { mode: Mode::Comment(0), stretch: self.place.stretch.max_prolog() };
                Ok(())
            }
            CDATA if self.place.stretch == Stretch::Root => {
                self.place.mode = Mode::Cdata(0);
                Ok(())
            }
            CDATA => Err(self.outside(self.held_at, "a CDATA section")),
            "<!DOCTYPE" => Err(self.refused(self.held_at, "a DTD (`<!DOCTYPE`)")),
            held if ["<!--", CDATA, "<!DOCTYPE"].iter().any(|known| known.starts_with(held)) => Ok(()),
            _ => Err(self.corrupt(self.held_at, "`<!` that starts neither a comment nor a CDATA section")),
        }
    }

    /// A tag or a processing instruction is whole.
    fn token(&mut self, token: &str) -> Done {
        if token.starts_with("<?") {
            let first = self.place.stretch == Stretch::Start;
            tag::instruction(token, first).map_err(|wrong| self.wrong(wrong))?;
            self.place.stretch = self.place.stretch.max_prolog();
            return Ok(());
        }
        if token.starts_with("</") {
            let name = tag::end(token).map_err(|wrong| self.wrong(wrong))?;
            return self.end(name);
        }
        let start = tag::start(token, self.max_attributes).map_err(|wrong| self.wrong(wrong))?;
        match self.place.stretch {
            Stretch::Epilog => {
                return Err(
                    self.outside(self.held_at, &format!("a second root element `{}`", short(start.name)))
                );
            }
            Stretch::Root => {}
            Stretch::Start | Stretch::Prolog => self.check_root(start.name)?,
        }
        if self.open.starts.len() == self.max_depth {
            let observed = format!("{} levels and more at byte {}", self.max_depth + 1, self.held_at);
            return Err(Failure::limit(Code::LimitDepth, observed, self.max_depth));
        }
        self.place.stretch = Stretch::Root;
        if start.empty {
            self.close_if_root();
            return Ok(());
        }
        if self.open.bytes() + start.name.len() > self.max_token {
            let observed = format!(
                "{} bytes and more of names of open elements at byte {}",
                self.max_token + 1,
                self.held_at
            );
            return Err(Failure::limit(Code::LimitRecordBytes, observed, self.max_token));
        }
        self.open.push(start.name);
        Ok(())
    }

    fn end(&mut self, name: &str) -> Done {
        match self.open.last() {
            Some(open) if open == name => {}
            Some(open) => {
                let what = format!("`</{}>` where `</{}>` belongs", short(name), short(open));
                return Err(self.corrupt(self.held_at, &what));
            }
            None => return Err(self.outside(self.held_at, &format!("`</{}>`", short(name)))),
        }
        self.open.pop();
        self.close_if_root();
        Ok(())
    }

    fn close_if_root(&mut self) {
        if self.open.starts.is_empty() {
            self.place.stretch = Stretch::Epilog;
        }
    }

    fn check_root(&self, name: &str) -> Done {
        let Some(root) = &self.root else { return Ok(()) };
        let local = name.split_once(':').map_or(name, |(_, local)| local);
        if name == root || local == root {
            return Ok(());
        }
        let message = format!(
            "the root element at byte {} is `{}`, the route says `{root}`",
            self.held_at,
            short(name)
        );
        Err(Failure::new(Code::Validation, message))
    }

    fn wrong(&self, wrong: Wrong) -> Failure {
        match wrong {
            Wrong::Syntax(at, what) => self.corrupt(self.held_at + at as u64, &what),
            Wrong::Refused(at, what) => self.refused(self.held_at + at as u64, &what),
            Wrong::Attributes => {
                let observed = format!(
                    "{} attributes and more in the tag at byte {}",
                    self.max_attributes + 1,
                    self.held_at
                );
                Failure::limit(Code::LimitFields, observed, self.max_attributes)
            }
        }
    }

    fn corrupt(&self, at: u64, what: &str) -> Failure {
        Failure::new(Code::FormatCorrupt, format!("{what} at byte {at}{}", self.open.shown()))
    }

    fn refused(&self, at: u64, what: &str) -> Failure {
        Failure::new(Code::FormatRefused, format!("{what} at byte {at}{}", self.open.shown()))
    }

    /// Something that belongs inside the root element.
    fn outside(&self, at: u64, what: &str) -> Failure {
        match self.place.stretch {
            Stretch::Epilog => {
                Failure::new(Code::FormatTrailing, format!("{what} behind the root element at byte {at}"))
            }
            _ => Failure::new(Code::FormatCorrupt, format!("{what} before the root element at byte {at}")),
        }
    }
}

impl Stretch {
    /// Something was read: no XML declaration may follow.
    fn max_prolog(self) -> Self {
        if self == Self::Start { Self::Prolog } else { self }
    }
}

fn first_char(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}
