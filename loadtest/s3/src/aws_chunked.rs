//! Decoder of the `aws-chunked` content encoding, signed (`;chunk-signature=…`) and unsigned, with trailers.
//!
//! `<hex length>[;chunk-signature=<hex>]\r\n<bytes>\r\n … 0[;…]\r\n[trailer: value\r\n …]\r\n`
//!
//! Signatures are read over, not checked. Payload comes out as slices of what went in.

use bytes::{Buf, Bytes};

use crate::error::{Code, S3Error};

/// No line of this encoding is longer than a signed trailer.
const LONGEST_LINE: usize = 4096;

/// Trailer names in lower case, and values.
pub(crate) type Trailers = Vec<(String, String)>;

#[derive(Debug)]
enum State {
    /// In a chunk's head or in a trailer line.
    Line(LineKind),
    /// In a chunk, with this many bytes left.
    Data(u64),
    Done,
}

#[derive(Clone, Copy, Debug)]
enum LineKind {
    Head,
    AfterData,
    Trailer,
}

/// Push encoded bytes in, take payload slices out.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: Trailers,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { state: State::Line(LineKind::Head), line: Vec::new(), trailers: Vec::new() }
    }

    /// Decodes one frame, passing each payload slice on.
    pub(crate) fn push(&mut self, mut input: Bytes, mut payload: impl FnMut(Bytes)) -> Result<(), S3Error> {
        while !input.is_empty() {
            match self.state {
                State::Done => return Err(malformed("bytes after the end of the chunked body")),
                State::Data(left) => {
                    let take = left.min(input.len() as u64);
                    payload(input.split_to(take as usize));
                    self.state = if take == left {
                        State::Line(LineKind::AfterData)
                    } else {
                        State::Data(left - take)
                    };
                }
                State::Line(kind) => {
                    let end = input.iter().position(|byte| *byte == b'\n');
                    let take = end.map_or(input.len(), |at| at + 1);
                    self.line.extend_from_slice(&input[..take]);
                    input.advance(take);
                    if self.line.len() > LONGEST_LINE {
                        return Err(malformed("a line of the chunked body is too long"));
                    }
                    if end.is_some() {
                        self.end_line(kind)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The trailers; an error when the body stopped early.
    pub(crate) fn finish(self) -> Result<Trailers, S3Error> {
        match self.state {
            State::Done => Ok(self.trailers),
            // Some clients leave the last empty line out.
            State::Line(LineKind::Trailer) if self.line.is_empty() => Ok(self.trailers),
            _ => Err(S3Error::from(Code::IncompleteBody)),
        }
    }

    fn end_line(&mut self, kind: LineKind) -> Result<(), S3Error> {
        let line = std::mem::take(&mut self.line);
        let line =
            std::str::from_utf8(&line).map_err(|_| malformed("not text"))?.trim_end_matches(['\r', '\n']);
        self.state = match kind {
            LineKind::AfterData if line.is_empty() => State::Line(LineKind::Head),
            LineKind::AfterData => return Err(malformed("chunk data longer than its length")),
            LineKind::Head => {
                let length = line.split(';').next().unwrap_or_default().trim();
                match u64::from_str_radix(length, 16).map_err(|_| malformed("bad chunk length"))? {
                    0 => State::Line(LineKind::Trailer),
                    length => State::Data(length),
                }
            }
            LineKind::Trailer if line.is_empty() => State::Done,
            LineKind::Trailer => {
                let (name, value) = line.split_once(':').ok_or_else(|| malformed("bad trailer"))?;
                self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                State::Line(LineKind::Trailer)
            }
        };
        Ok(())
    }
}

fn malformed(message: &str) -> S3Error {
    S3Error::new(Code::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = b"5;chunk-signature=ab\r\nhello\r\n6\r\n world\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:ef\r\n\r\n";

    fn decode<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, Trailers), S3Error> {
        let (mut decoder, mut out) = (Decoder::new(), Vec::new());
        for frame in frames {
            decoder.push(Bytes::copy_from_slice(frame), |payload| out.extend_from_slice(&payload))?;
        }
        Ok((out, decoder.finish()?))
    }

    proptest! {
        #[test]
        fn any_framing_gives_the_same(cuts in proptest::collection::vec(0..BODY.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, BODY.len()]);
            cuts.sort_unstable();
            let (payload, trailers) = decode(cuts.windows(2).map(|pair| &BODY[pair[0]..pair[1]])).unwrap();
            prop_assert_eq!(&payload[..], b"hello world");
            prop_assert_eq!(&trailers[0], &("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned()));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            decode([&bytes[..]]).ok();
        }
    }

    #[test]
    fn broken_bodies_are_refused() {
        for body in [
            &b"5\r\nhel"[..],
            b"zz\r\n",
            b"5\r\nhelloX\r\n",
            b"0\r\n\r\nmore",
            b"ffffffffffffffffff\r\n",
            b"",
        ] {
            assert!(decode([body]).is_err(), "{body:?}");
        }
        assert_eq!(decode([&b"0\r\n\r\n"[..]]).unwrap().0, b"");
    }
}
