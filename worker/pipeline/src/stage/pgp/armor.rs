//! ASCII armor (RFC 9580, section 6), streaming.
//!
//! rPGP's own reader passes over whatever follows the last line, a second message included, and keeps up to a gigabyte
//! of a header. This one keeps one line of at most [`MAX_LINE`] bytes, and takes nothing but white space behind the end.
//! The CRC-24 is not looked at: it is optional, and every message read here is protected by something better.

use std::io::{self, BufRead, Read};

use eft_domain::{Code, Failure};

use super::{bridge::read_by_filling, watch::Watch};

/// Longest line before the data: text of a mail, or an armor header. None, reasonable default.
const MAX_LINE: usize = 4 << 10;
/// Most bytes before the data. None, reasonable default.
const MAX_HEAD: usize = 64 << 10;

const BEGIN: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const END: &[u8] = b"-----END PGP MESSAGE-----";

/// Bytes decoded at a time.
const DECODED: usize = 48 << 10;

/// Where in the armor the next byte is.
#[derive(Debug, PartialEq)]
enum Part {
    /// Before the line that begins it, or in its headers.
    Head { begun: bool },
    /// In the data.
    Data,
    /// After `=` at the beginning of a line: the checksum.
    Checksum,
    /// After `-`: the line that ends it.
    Tail,
    /// After that line.
    After,
}

/// The message inside armor.
#[derive(Debug)]
pub(super) struct Dearmor<R> {
    inner: R,
    watch: Watch,
    text: Text,
}

/// The armor so far.
#[derive(Debug)]
struct Text {
    part: Part,
    line: Vec<u8>,
    head: usize,
    /// Six bits of each character since the last whole group.
    group: u32,
    characters: u8,
    padding: u8,
    line_start: bool,
    decoded: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Dearmor<R> {
    pub(super) fn new(inner: R, watch: Watch) -> Self {
        let text = Text {
            part: Part::Head { begun: false },
            line: Vec::new(),
            head: 0,
            group: 0,
            characters: 0,
            padding: 0,
            line_start: true,
            decoded: Vec::with_capacity(DECODED),
            at: 0,
        };
        Self { inner, watch, text }
    }

    fn refill(&mut self) -> io::Result<()> {
        let Self { inner, watch, text } = self;
        text.decoded.clear();
        text.at = 0;
        while text.decoded.is_empty() {
            let bytes = inner.fill_buf()?;
            if bytes.is_empty() {
                return text.end().map_err(|failure| watch.fail(failure));
            }
            let bytes = &bytes[..bytes.len().min(DECODED)];
            bytes.iter().try_for_each(|&byte| text.take(byte)).map_err(|failure| watch.fail(failure))?;
            let n = bytes.len();
            inner.consume(n);
        }
        Ok(())
    }
}

impl Text {
    /// The input has ended.
    fn end(&mut self) -> Result<(), Failure> {
        if self.part == Part::Tail {
            self.tail()?;
        }
        match self.part {
            Part::After => Ok(()),
            Part::Head { begun: false } => corrupt("neither a binary OpenPGP message nor an armored one"),
            _ => {
                let message = "ASCII armor: the file ends before the line that ends the message";
                Err(Failure::new(Code::FormatTruncated, message))
            }
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Failure> {
        match self.part {
            Part::Data => self.data(byte),
            Part::Head { begun } => self.in_head(byte, begun),
            Part::Checksum | Part::Tail if byte != b'\n' => self.keep(byte),
            Part::Checksum => {
                self.line.clear();
                self.line_start = true;
                self.part = Part::Data;
                Ok(())
            }
            Part::Tail => self.tail(),
            Part::After if byte.is_ascii_whitespace() || byte == 0 => Ok(()),
            Part::After => {
                let message = "bytes follow the end of the armored message";
                Err(Failure::new(Code::FormatTrailing, message))
            }
        }
    }

    fn keep(&mut self, byte: u8) -> Result<(), Failure> {
        if self.line.len() == MAX_LINE {
            return corrupt("a line that is no data is longer than 4096 bytes");
        }
        self.line.push(byte);
        Ok(())
    }

    fn in_head(&mut self, byte: u8, begun: bool) -> Result<(), Failure> {
        self.head += 1;
        if self.head > MAX_HEAD {
            return corrupt("no message begins in the first 64 KiB");
        }
        if byte != b'\n' {
            return self.keep(byte);
        }
        let line = self.line.trim_ascii_end();
        let part = match (begun, line) {
            (false, line) if line == BEGIN => Part::Head { begun: true },
            (true, b"") => Part::Data,
            (begun, _) => Part::Head { begun },
        };
        self.part = part;
        self.line.clear();
        Ok(())
    }

    fn tail(&mut self) -> Result<(), Failure> {
        if self.line.trim_ascii_end() != END {
            return corrupt("the data ends in a line that does not end the message");
        }
        // A group that is not whole was cut.
        if self.characters != 0 {
            return corrupt("the data is not base64");
        }
        self.part = Part::After;
        Ok(())
    }

    fn data(&mut self, byte: u8) -> Result<(), Failure> {
        let start = std::mem::replace(&mut self.line_start, byte == b'\n');
        let value = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(()),
            b'-' if start => {
                self.part = Part::Tail;
                return self.keep(byte);
            }
            // A padded group is never split between lines before its padding, unless a line was cut there.
            b'=' if start && self.characters == 0 => {
                self.part = Part::Checksum;
                return Ok(());
            }
            b'=' if self.characters >= 2 => {
                self.padding += 1;
                0
            }
            _ if self.padding > 0 => return corrupt("the data is not base64"),
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return corrupt("the data is not base64"),
        };
        self.group = self.group << 6 | u32::from(value);
        self.characters += 1;
        if self.characters == 4 {
            let [_, bytes @ ..] = self.group.to_be_bytes();
            self.decoded.extend_from_slice(&bytes[..3 - usize::from(self.padding)]);
            // Padding ends the data: with it set, another character is refused.
            (self.group, self.characters) = (0, 0);
        }
        Ok(())
    }
}

fn corrupt(what: &str) -> Result<(), Failure> {
    Err(Failure::new(Code::FormatCorrupt, format!("ASCII armor: {what}")))
}

impl<R: BufRead> BufRead for Dearmor<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.text.at == self.text.decoded.len() {
            self.refill()?;
        }
        Ok(&self.text.decoded[self.text.at..])
    }

    fn consume(&mut self, n: usize) {
        self.text.at += n;
    }
}

impl<R: BufRead> Read for Dearmor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_by_filling(self, into)
    }
}
