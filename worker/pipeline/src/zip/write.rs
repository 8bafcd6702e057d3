//! An archive of one entry, written front to back: what stands before its deflated bytes, and what behind them.
//!
//! Nothing is known of the bytes before they have passed, so sizes and checksum follow them in a descriptor (§4.3.9),
//! with eight bytes a size, which the ZIP64 field of the local header announces (§4.3.9.2). The directory has ZIP64 where
//! a number needs it and not otherwise (§4.4.1.4). There is no time of day in it: the same bytes make the same archive.

use eft_domain::{Code, Failure, route::made_entry_fault};

use super::{directory, end, local, name};

/// §4.4.3.2: "File uses ZIP64 format extensions".
const NEEDED: u16 = 45;
/// §4.4.4: sizes and checksum are in the descriptor (bit 3), the name is UTF-8 (bit 11).
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// §4.4.5.
const DEFLATED: u16 = 8;
/// 1980-01-01, the first day there is: year, month and day from bit 9, 5 and 0 (§4.4.6).
const DAY: u16 = 1 << 5 | 1;
/// §4.5.3.
const ZIP64: u16 = 1;
/// A size or an offset that stands elsewhere (§4.4.1.4).
const ELSEWHERE: u64 = 0xffff_ffff;
/// A regular file that its owner writes and everybody reads.
const MODE: u32 = 0o100_644;
/// The last deflate block, empty, with the fixed codes: a last block (1), of type 01, and the end of it (RFC 1951 §3.2.3).
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// The archive around one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    name: String,
}

impl Frame {
    /// Around an entry of this name.
    ///
    /// # Errors
    /// `plan.refused` for a name that other programs would not unpack safely.
    pub fn new(name: &str) -> Result<Self, Failure> {
        match made_entry_fault(name) {
            None => Ok(Self { name: name.to_owned() }),
            Some(why) => {
                let shown = name::shown(name);
                let message = format!(
                    "an archive cannot hold a file named {shown}: it {why}; name another with `entry`"
                );
                Err(Failure::new(Code::PlanRefused, message))
            }
        }
    }

    /// What stands before the deflated bytes, whose blocks must all be open-ended (RFC 1951 §3.2.3: no last one).
    pub fn begin(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.name.len());
        bytes.extend(local::HEADER);
        self.common(&mut bytes, 0, ELSEWHERE, ELSEWHERE);
        put2(&mut bytes, 20);
        bytes.extend(self.name.as_bytes());
        zip64(&mut bytes, &[0, 0]);
        bytes
    }

    /// What stands behind `deflated` bytes that hold `size` bytes with this CRC-32.
    pub fn end(&self, size: u64, deflated: u64, crc32: u32) -> Vec<u8> {
        let compressed = deflated + LAST_BLOCK.len() as u64;
        let mut bytes = Vec::with_capacity(256 + self.name.len());
        bytes.extend(LAST_BLOCK);
        bytes.extend(local::SIGNATURE);
        put4(&mut bytes, crc32);
        put8(&mut bytes, compressed);
        put8(&mut bytes, size);

        let directory_at = (self.begin().len() + bytes.len()) as u64 + deflated;
        let before = bytes.len();
        let large: Vec<u64> = [size, compressed].into_iter().filter(|size| *size >= ELSEWHERE).collect();
        bytes.extend(directory::HEADER);
        put2(&mut bytes, NEEDED | directory::UNIX << 8);
        self.common(&mut bytes, crc32, compressed.min(ELSEWHERE), size.min(ELSEWHERE));
        put2(&mut bytes, if large.is_empty() { 0 } else { 4 + 8 * large.len() as u16 });
        // No comment, the first disk, no internal attributes.
        bytes.extend([0; 6]);
        put4(&mut bytes, MODE << 16);
        // The entry stands at the very start.
        put4(&mut bytes, 0);
        bytes.extend(self.name.as_bytes());
        if !large.is_empty() {
            zip64(&mut bytes, &large);
        }
        let directory = (bytes.len() - before) as u64;

        if directory_at >= ELSEWHERE {
            bytes.extend(end::RECORD);
            // What is left of the record behind this number.
            put8(&mut bytes, end::RECORD_LEN - 12);
            put2(&mut bytes, NEEDED | directory::UNIX << 8);
            put2(&mut bytes, NEEDED);
            bytes.extend([0; 8]);
            for number in [1, 1, directory, directory_at] {
                put8(&mut bytes, number);
            }
            bytes.extend(end::LOCATOR);
            put4(&mut bytes, 0);
            put8(&mut bytes, directory_at + directory);
            put4(&mut bytes, 1);
        }
        bytes.extend(end::END);
        bytes.extend([0; 4]);
        for count in [1, 1] {
            put2(&mut bytes, count);
        }
        put4(&mut bytes, directory as u32);
        put4(&mut bytes, directory_at.min(ELSEWHERE) as u32);
        put2(&mut bytes, 0);
        bytes
    }

    /// From the version needed to the length of the name, which both headers have.
    fn common(&self, bytes: &mut Vec<u8>, crc32: u32, compressed: u64, size: u64) {
        for number in [NEEDED, FLAGS, DEFLATED, 0, DAY] {
            put2(bytes, number);
        }
        put4(bytes, crc32);
        for size in [compressed, size] {
            put4(bytes, size as u32);
        }
        put2(bytes, self.name.len() as u16);
    }
}

fn zip64(bytes: &mut Vec<u8>, sizes: &[u64]) {
    put2(bytes, ZIP64);
    put2(bytes, 8 * sizes.len() as u16);
    for size in sizes {
        put8(bytes, *size);
    }
}

fn put2(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend(number.to_le_bytes());
}

fn put4(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_le_bytes());
}

fn put8(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_le_bytes());
}
