//! `charset`: text in another encoding becomes UTF-8, as the WHATWG Encoding Standard says.
//!
//! # Overview
//! A rewrite around the streaming decoder of `encoding_rs`, which decodes into a buffer that stays in the cache.
//!
//! # The encoding is the route's word
//! Labels mean what the standard says they mean: `iso-8859-1` and `ascii` are windows-1252, in which no byte is
//! malformed (81, 8d, 8f, 90 and 9d are the control characters U+0081 and so on). A byte-order mark never changes the
//! encoding. One of the declared encoding is dropped from the start of the stream, so the output has none; one of
//! another encoding means that the route or the file is wrong, and refuses the file whatever `malformed` says: to read
//! it as text would be to deliver garbage in silence. Anywhere else a mark is a character.
//!
//! # Failure handling
//! What was decoded before the first malformed sequence is given first. The sequence is named by its offset and bytes.
//! Where sequences are replaced, each becomes one U+FFFD and counts as an error in the report; how long a sequence is
//! says the standard.
//!
//! # Resuming
//! A decoder has no state that could be saved, but between two characters it has none that would be missed: a fresh one
//! goes on alike. Single-byte encodings are always there; others are asked to be, after a byte that ends whatever came
//! before it. UTF-16 is there between two code units the first of which is no high surrogate.

use eft_domain::route::{CharsetSpec, Limits, Malformed};
use eft_domain::{Code, Failure};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use serde::{Deserialize, Serialize};

use super::pending::Pending;
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, pack, unpack};

const NAME: &str = "charset";

/// Bytes decoded at a time: stays in the second-level cache, and large enough that the calls do not show.
const SCRATCH: usize = 64 << 10;

/// U+FFFD.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// In no multi-byte encoding is a byte below this part of a character that does not start with it: trail bytes begin at
/// 0x30 (gb18030), those of all others at 0x40. A decoder that waits for one gives up on such a byte.
const NEVER_TRAILS: u8 = 0x30;

/// Byte-order marks, with the encoding each is of.
static MARKS: [(&[u8], &Encoding); 3] =
    [(b"\xef\xbb\xbf", UTF_8), (b"\xff\xfe", UTF_16LE), (b"\xfe\xff", UTF_16BE)];

/// The stage `charset`.
#[derive(Debug)]
pub struct Charset {
    encoding: &'static Encoding,
    malformed: Malformed,
    decoder: Decoder,
    start: Start,
    /// Offset of the first byte the decoder has not seen.
    fed: u64,
    recent: Recent,
    /// The decoder holds no output.
    settled: bool,
    /// The decoder was told of the end.
    ended: bool,
    pending: Pending,
    replaced: u64,
    /// Comes after what is pending.
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Start {
    /// These first bytes of the stream may begin a byte-order mark.
    Held(Vec<u8>),
    Read,
}

#[derive(Serialize, Deserialize)]
struct Between {
    started: bool,
    replaced: u64,
    made: u64,
}

impl Charset {
    /// A stage at the start of a stream.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`] when no decoder has the encoding's name; a test says that each name has one.
    pub fn new(spec: CharsetSpec, limits: &Limits) -> Result<Self, Failure> {
        let name = spec.from.name();
        let encoding = Encoding::for_label_no_replacement(name.as_bytes());
        let encoding = encoding.ok_or_else(|| {
            Failure::new(Code::RouteInvalid, format!("no decoder for the encoding `{name}`"))
        })?;
        Ok(Self {
            encoding,
            malformed: spec.malformed,
            decoder: encoding.new_decoder_without_bom_handling(),
            start: Start::Held(Vec::new()),
            fed: 0,
            recent: Recent::default(),
            settled: true,
            ended: false,
            pending: Pending::new(SCRATCH, limits),
            replaced: 0,
            failure: None,
        })
    }

    /// Collect the first bytes until it is clear whether they are a byte-order mark.
    fn read_mark(&mut self, input: &mut Input) {
        let Start::Held(held) = &mut self.start else { return };
        let possible = |held: &[u8]| MARKS.iter().any(|(mark, _)| mark.starts_with(held));
        while let Some(&byte) = input.chunk().first() {
            held.push(byte);
            if !possible(held) {
                held.pop();
                break;
            }
            input.advance(1);
            if MARKS.iter().any(|(mark, _)| mark == held) {
                break;
            }
        }
        if input.chunk().is_empty() && !input.is_ended() && !MARKS.iter().any(|(mark, _)| mark == held) {
            return;
        }
        let held = std::mem::take(held);
        self.start = Start::Read;
        match MARKS.iter().find(|(mark, _)| *mark == held) {
            Some((_, of)) if *of == self.encoding => self.fed = held.len() as u64,
            Some((mark, of)) => self.failure = Some(self.foreign_mark(mark, of)),
            None => {
                self.decode(&held, false);
            }
        }
    }

    fn foreign_mark(&self, mark: &[u8], of: &'static Encoding) -> Failure {
        Failure::new(
            Code::FormatCorrupt,
            format!(
                "the file starts with the byte-order mark of {} ({}), the route reads {}",
                of.name(),
                hex(mark),
                self.encoding.name()
            ),
        )
    }

    /// Decode the first chunk of the input, or as much of it as there is room for.
    fn read(&mut self, input: &mut Input) {
        let chunk = input.chunk();
        let end = if input.wants_save() { self.reach(chunk) } else { chunk.len() };
        // What was consumed was fed; after a restore this is where it starts.
        self.fed = input.offset();
        let read = self.decode(&chunk[..end], false);
        input.advance(read);
    }

    /// How far to read to where there may be no state.
    fn reach(&self, chunk: &[u8]) -> usize {
        let reach = if self.is_utf16() {
            if self.fed.is_multiple_of(2) { 2 } else { 1 }
        } else {
            chunk.iter().position(|byte| *byte < NEVER_TRAILS).map_or(chunk.len(), |at| at + 1)
        };
        reach.min(chunk.len())
    }

    /// Feed the decoder until it has taken all, there is no more room, or it fails; returns how much it took.
    fn decode(&mut self, bytes: &[u8], last: bool) -> usize {
        let mut read = 0;
        self.settled = false;
        loop {
            let free = self.pending.free();
            // A replacement must fit behind what is decoded.
            let Some(room) = free.len().checked_sub(REPLACEMENT.len()).filter(|room| *room > 0) else {
                return read;
            };
            let (result, taken, made) =
                self.decoder.decode_to_utf8_without_replacement(&bytes[read..], &mut free[..room], last);
            self.pending.fill(made);
            self.recent.push(&bytes[read..read + taken]);
            self.fed += taken as u64;
            read += taken;
            match result {
                DecoderResult::InputEmpty => {
                    self.settled = true;
                    self.ended = last;
                    return read;
                }
                DecoderResult::OutputFull => return read,
                DecoderResult::Malformed(..) if self.malformed == Malformed::Replace => {
                    self.pending.put(REPLACEMENT);
                    self.replaced += 1;
                }
                DecoderResult::Malformed(len, after) => {
                    self.failure = Some(self.not_text(len.into(), after.into(), last));
                    return read;
                }
            }
        }
    }

    /// The malformed sequence of `len` bytes, `after` bytes before what was fed.
    fn not_text(&self, len: usize, after: usize, last: bool) -> Failure {
        let offset = self.fed - (len + after) as u64;
        let (name, bytes) = (self.encoding.name(), hex(self.recent.sequence(len, after)));
        if last {
            let message = format!("not {name} at byte {offset}: the file ends within a character ({bytes})");
            return Failure::new(Code::FormatTruncated, message);
        }
        Failure::new(
            Code::FormatCorrupt,
            format!("not {name} at byte {offset}: malformed sequence ({bytes})"),
        )
    }

    fn is_utf16(&self) -> bool {
        self.encoding == UTF_16LE || self.encoding == UTF_16BE
    }

    /// A fresh decoder would go on as this one does, and all it made is handed over.
    fn is_between(&self) -> bool {
        let started = !matches!(&self.start, Start::Held(held) if !held.is_empty());
        started && self.settled && self.pending.is_empty() && self.failure.is_none() && self.has_no_state()
    }

    fn has_no_state(&self) -> bool {
        if self.ended {
            return true;
        }
        if self.is_utf16() {
            return self.fed.is_multiple_of(2)
                && !self.recent.ends_in_high_surrogate(self.encoding == UTF_16BE);
        }
        // Documented to be `None` where the decoder is in the middle of something.
        self.decoder.latin1_byte_compatible_up_to(&[]).is_some()
    }
}

impl Stage for Charset {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64 + self.pending.memory(),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            if !self.pending.hand_over(output)? {
                return Ok(Flow::Full);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.ended {
                return Ok(Flow::Done);
            }
            if input.wants_save() && self.is_between() {
                return Ok(Flow::Boundary);
            }
            match &self.start {
                Start::Held(_) if !input.is_empty() || input.is_ended() => self.read_mark(input),
                _ if !input.is_empty() => self.read(input),
                _ if input.is_ended() => {
                    self.decode(&[], true);
                }
                _ => return Ok(Flow::Hungry),
            }
        }
    }

    fn report(&self) -> StageReport {
        StageReport { errors: self.replaced, ..StageReport::default() }
    }

    fn save(&self) -> Option<State> {
        if !self.is_between() {
            return None;
        }
        let started = matches!(self.start, Start::Read);
        pack(&Between { started, replaced: self.replaced, made: self.pending.made() })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { started, replaced, made } = unpack(NAME, state)?;
        if started {
            self.start = Start::Read;
        }
        self.replaced = replaced;
        self.pending.resume(made);
        Ok(())
    }
}

/// The last bytes a decoder was fed, as many as a message needs: a sequence and what follows it are at most 6 bytes
/// long (`DecoderResult::Malformed`).
#[derive(Debug, Default)]
struct Recent([u8; 8]);

impl Recent {
    fn push(&mut self, bytes: &[u8]) {
        let new = bytes.len().min(self.0.len());
        self.0.rotate_left(new);
        let keep = self.0.len() - new;
        self.0[keep..].copy_from_slice(&bytes[bytes.len() - new..]);
    }

    /// The `len` bytes that stand before the last `after`.
    fn sequence(&self, len: usize, after: usize) -> &[u8] {
        let end = self.0.len() - after;
        &self.0[end - len..end]
    }

    fn ends_in_high_surrogate(&self, big_endian: bool) -> bool {
        let [.., first, second] = self.0;
        let high = if big_endian { first } else { second };
        (0xd8..=0xdb).contains(&high)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
