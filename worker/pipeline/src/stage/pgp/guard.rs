//! The frames of packets, checked before rPGP sees them (RFC 9580, section 4.2).
//!
//! rPGP reads packets that are no data whole into memory, keeps as many of them as there are, and takes a stream that
//! ends early for one that has ended. A guard in front of it lets only packets pass that are small where they have to
//! be, few, and in an order in which messages have them, and knows whether the last one was whole.

use std::io::{self, BufRead, Read};

use eft_domain::{Code, Failure};

use super::{bridge::read_by_filling, watch::Watch};

/// Largest packet that is not data, in bytes: signatures with notations, session keys of post-quantum algorithms.
/// None, reasonable default.
const MAX_SMALL: u64 = 16 << 10;
/// Largest padding packet, in bytes. None, reasonable default.
const MAX_PADDING: u64 = 1 << 20;
/// Most packets at one level: one session key for each recipient of a mailing list, and more. None, reasonable default.
const MAX_PACKETS: u32 = 256;
/// Most signatures at one level, each of which hashes the content again. None, reasonable default.
const MAX_SIGNATURES: u32 = 8;

const SIGNATURE: u8 = 2;
const ONE_PASS: u8 = 4;
const MARKER: u8 = 10;
const PADDING: u8 = 21;

/// The packets that carry data of any length: compressed, encrypted without integrity, literal, encrypted with
/// integrity, GnuPG's own.
const DATA: [u8; 5] = [8, 9, 11, 18, 20];

/// Where in the frames the next byte is.
#[derive(Debug)]
enum At {
    /// Before a packet, or in its header.
    Header(Vec<u8>),
    /// In a body. `partial`: a length follows it.
    Body { left: u64, partial: bool },
    /// In the length that follows a partial body.
    Length(Vec<u8>),
    /// In a body that goes to the end.
    Rest,
}

/// A reader of one level of packets.
#[derive(Debug)]
pub(super) struct Guard<R> {
    inner: R,
    watch: Watch,
    frames: Frames,
    /// Of what the inner reader offers, bytes that were looked at.
    seen: usize,
}

/// The packets of one level so far.
#[derive(Debug)]
struct Frames {
    at: At,
    packets: u32,
    signatures: u32,
    one_pass: u32,
    data: bool,
}

/// The length of a body, as far as a header says it.
enum Length {
    Fixed(u64),
    Partial(u64),
    Rest,
}

impl<R: BufRead> Guard<R> {
    pub(super) fn new(inner: R, watch: Watch) -> Self {
        let at = At::Header(Vec::new());
        let frames = Frames { at, packets: 0, signatures: 0, one_pass: 0, data: false };
        Self { inner, watch, frames, seen: 0 }
    }
}

impl Frames {
    /// Look at bytes that were not looked at yet.
    fn scan(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.at {
                At::Rest => return Ok(()),
                At::Body { left, partial } => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= n as u64;
                    bytes = &bytes[n..];
                    if *left == 0 {
                        self.at = if *partial { At::Length(Vec::new()) } else { At::Header(Vec::new()) };
                    }
                    continue;
                }
                At::Length(read) => {
                    read.push(first);
                    if let Some(length) = new_length(read) {
                        self.at = body(length);
                    }
                }
                At::Header(read) => {
                    read.push(first);
                    if let Some((tag, length)) = header(read)? {
                        self.admit(tag, &length)?;
                        self.at = body(length);
                    }
                }
            }
            bytes = rest;
        }
        Ok(())
    }

    fn admit(&mut self, tag: u8, length: &Length) -> Result<(), Failure> {
        self.packets += 1;
        if self.packets > MAX_PACKETS {
            return corrupt(format!("more than {MAX_PACKETS} packets at one level"));
        }
        if DATA.contains(&tag) {
            if std::mem::replace(&mut self.data, true) {
                return trailing("a second message follows the first");
            }
            return Ok(());
        }
        let most = if tag == PADDING { MAX_PADDING } else { MAX_SMALL };
        match length {
            Length::Fixed(length) if *length <= most => {}
            Length::Fixed(length) => {
                return corrupt(format!(
                    "a packet of type {tag} has {length} bytes, at most {most} are read"
                ));
            }
            Length::Partial(_) | Length::Rest => {
                return corrupt(format!("a packet of type {tag} has no fixed length"));
            }
        }
        match tag {
            MARKER | PADDING => return Ok(()),
            SIGNATURE | ONE_PASS => self.signatures += 1,
            _ => {}
        }
        self.one_pass += u32::from(tag == ONE_PASS);
        // Each one-pass signature comes twice, as the header and as the signature.
        if self.signatures > 2 * MAX_SIGNATURES {
            return corrupt(format!("more than {MAX_SIGNATURES} signatures"));
        }
        if self.data && !(tag == SIGNATURE && self.one_pass > 0) {
            return trailing(&format!("a packet of type {tag} follows the message"));
        }
        Ok(())
    }

    /// The inner reader has ended.
    fn end(&self) -> Result<(), Failure> {
        match &self.at {
            At::Header(read) if read.is_empty() => Ok(()),
            At::Rest => Ok(()),
            _ => Err(Failure::new(Code::FormatTruncated, "the message ends within a packet")),
        }
    }
}

fn body(length: Length) -> At {
    match length {
        Length::Rest => At::Rest,
        Length::Fixed(0) => At::Header(Vec::new()),
        Length::Fixed(left) => At::Body { left, partial: false },
        Length::Partial(left) => At::Body { left, partial: true },
    }
}

/// Tag and length of a header, when it is whole.
fn header(read: &[u8]) -> Result<Option<(u8, Length)>, Failure> {
    let first = read[0];
    if first & 0x80 == 0 {
        return corrupt(format!("a packet begins with the byte {first:#04x}"));
    }
    if first & 0x40 != 0 {
        return Ok(new_length(&read[1..]).map(|length| (first & 0x3f, length)));
    }
    let tag = first >> 2 & 0x0f;
    let length = match (first & 3, &read[1..]) {
        (3, _) => Length::Rest,
        (0, &[a]) => Length::Fixed(a.into()),
        (1, &[a, b]) => Length::Fixed(u16::from_be_bytes([a, b]).into()),
        (2, &[a, b, c, d]) => Length::Fixed(u32::from_be_bytes([a, b, c, d]).into()),
        _ => return Ok(None),
    };
    Ok(Some((tag, length)))
}

/// A length of the newer format, when it is whole.
fn new_length(read: &[u8]) -> Option<Length> {
    match *read {
        [a @ 0..=191] => Some(Length::Fixed(a.into())),
        [a @ 192..=223, b] => Some(Length::Fixed(((u64::from(a) - 192) << 8) + u64::from(b) + 192)),
        [a @ 224..=254] => Some(Length::Partial(1 << (a & 0x1f))),
        [255, a, b, c, d] => Some(Length::Fixed(u32::from_be_bytes([a, b, c, d]).into())),
        _ => None,
    }
}

fn corrupt<T>(what: String) -> Result<T, Failure> {
    Err(Failure::new(Code::FormatCorrupt, what))
}

fn trailing<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::new(Code::FormatTrailing, what))
}

impl<R: BufRead> BufRead for Guard<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Self { inner, watch, frames, seen } = self;
        let bytes = inner.fill_buf().inspect_err(|_| watch.failed())?;
        if bytes.is_empty() {
            frames.end().map_err(|failure| watch.fail(failure))?;
            watch.end();
        } else if *seen < bytes.len() {
            frames.scan(&bytes[*seen..]).map_err(|failure| watch.fail(failure))?;
            *seen = bytes.len();
        }
        Ok(bytes)
    }

    fn consume(&mut self, n: usize) {
        self.seen -= n.min(self.seen);
        self.inner.consume(n);
    }
}

impl<R: BufRead> Read for Guard<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_by_filling(self, into)
    }
}
