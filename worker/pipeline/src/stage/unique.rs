//! `validate.unique`: no two records have the same key.
//!
//! # Overview
//! A tap. Of each key a digest of 128 bits is kept, with the number of the record that had it first: SHA-256, cut, which
//! needs no secret to hold against keys that are made to collide. Two different keys of a file of n records are taken for
//! the same with a probability of at most n² / 2^129: for 100 million records 2 · 10^-23.
//!
//! # Memory
//! Bounded by the route's `memory`. The table is exact up to the number of keys that fit for certain; one more rejects
//! the file (`limit.max_unique_keys`). It is kept in [`SHARDS`] that grow one by one, so that growing does not double it.
//!
//! # Failure handling
//! A record with a key that was there before, or without one, is broken; `limits.max_errors` says how many may be.
//!
//! # Resuming
//! The keys are too much for a checkpoint (R3): the run starts over.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use eft_domain::{
    Code, Failure,
    route::{ColumnRef, Limits, Place, UniqueSpec},
};
use sha2::{Digest as _, Sha256};

use super::{
    Flow, Input, Kind, Output, Reject, ResumeClass, Stage, StageInfo, StageReport, State, bad_state,
    csv::tally::Tally,
    records::{Records, at, column_name, content, find, shown},
};

const NAME: &str = "validate.unique";

/// Tables that grow one by one. None, reasonable default.
const SHARDS: usize = 256;

/// Most columns of a key that a message shows.
const MAX_SHOWN: usize = 4;

/// The stage `validate.unique`.
pub struct UniqueValidate {
    spec: UniqueSpec,
    records: Records,
    max_record: u64,
    tally: Tally,
    keys: Keys,
    /// Where the columns are, once the header was read.
    places: Option<Vec<Place>>,
    /// The record being read, where it began in an earlier chunk.
    open: Vec<u8>,
    /// Its offset.
    start: u64,
}

impl UniqueValidate {
    /// A check at the start of a file.
    pub fn new(spec: UniqueSpec, limits: &Limits) -> Self {
        let max_record = limits.max_record_bytes.bytes();
        let places = spec.columns.iter().map(|column| match column {
            ColumnRef::At(place) => Some(*place),
            ColumnRef::Name(_) => None,
        });
        Self {
            records: Records::new(spec.records, max_record).with_header(spec.header),
            max_record,
            tally: Tally::new(limits.max_errors),
            keys: Keys::new(spec.max_keys()),
            places: places.collect::<Option<_>>().filter(|_| !spec.header),
            open: Vec::new(),
            start: 0,
            spec,
        }
    }

    fn read(&mut self, chunk: &[u8], base: u64) -> Result<(), Failure> {
        let mut to = 0;
        while to < chunk.len() {
            let (n, ended) = self.records.advance(&chunk[to..], base + to as u64)?;
            let piece = &chunk[to..to + n];
            to += n;
            if !ended {
                self.open.extend_from_slice(piece);
            } else if self.open.is_empty() {
                self.end_record(piece)?;
            } else {
                self.open.extend_from_slice(piece);
                self.end_open()?;
            }
        }
        Ok(())
    }

    /// The record that began in an earlier chunk is complete.
    fn end_open(&mut self) -> Result<(), Failure> {
        let mut record = std::mem::take(&mut self.open);
        self.end_record(&record)?;
        // Its room is used again.
        record.clear();
        self.open = record;
        Ok(())
    }

    fn end_record(&mut self, record: &[u8]) -> Result<(), Failure> {
        let content = content(record, self.start == 0);
        match self.places.take() {
            None => self.places = Some(self.read_header(content)?),
            Some(places) => {
                self.check(&places, content)?;
                self.places = Some(places);
            }
        }
        self.start += record.len() as u64;
        Ok(())
    }

    fn read_header(&mut self, header: &[u8]) -> Result<Vec<Place>, Failure> {
        let found = self.spec.columns.iter().map(|column| find(self.spec.records, header, column));
        found.collect::<Result<_, _>>().map_err(|why| self.tally.fatal(self.start, None, why))
    }

    /// A record of data.
    fn check(&mut self, places: &[Place], record: &[u8]) -> Result<(), Failure> {
        let mut digest = Sha256::new();
        for (place, column) in places.iter().zip(&self.spec.columns) {
            let Some(value) = at(self.spec.records, record, *place) else {
                let column = column_name(column);
                return self.broken(format!("there is no {column}"));
            };
            // With its length, so that no two keys run into one text.
            digest.update((value.len() as u64).to_le_bytes());
            digest.update(&value);
        }
        if places.is_empty() {
            digest.update(record);
        }
        match self.keys.insert(key(digest), self.tally.records + 1)? {
            None => self.tally.end_record(),
            Some(first) => {
                self.broken(format!("the key {} is that of record {first}", self.shown(places, record)))
            }
        }
    }

    fn shown(&self, places: &[Place], record: &[u8]) -> String {
        if places.is_empty() {
            return shown(record);
        }
        let values = places.iter().take(MAX_SHOWN).filter_map(|place| at(self.spec.records, record, *place));
        let mut values: Vec<_> = values.map(|value| shown(&value)).collect();
        if places.len() > MAX_SHOWN {
            values.push("…".to_owned());
        }
        values.join(", ")
    }

    fn broken(&mut self, reason: String) -> Result<(), Failure> {
        let offset = self.start;
        self.tally.note(|record| Reject { record, offset, column: None, reason });
        self.tally.end_record()
    }
}

impl Stage for UniqueValidate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R3,
            // A vector that grows may have twice the room it needs.
            memory: size_of::<Self>() as u64 + self.spec.memory.bytes() + 2 * self.max_record,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let base = input.offset();
            let Some(bytes) = input.take_chunk() else { break };
            self.read(&bytes, base)?;
            output.pass(bytes);
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        if self.records.finish() {
            self.end_open()?;
        }
        if self.places.is_none() {
            let why = "no header, the file is empty".to_owned();
            return Err(self.tally.fatal(0, None, why));
        }
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        StageReport {
            records: Some(self.tally.records),
            errors: self.tally.errors,
            rejects: self.tally.rejects.clone(),
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        None
    }

    fn restore(&mut self, _state: State) -> Result<(), Failure> {
        Err(bad_state(NAME, "it has none"))
    }
}

type Key = [u8; 16];
type Shard = HashMap<Key, u64, BuildHasherDefault<FirstBytes>>;

/// The first half of a digest.
fn key(digest: Sha256) -> Key {
    let digest: [u8; 32] = digest.finalize().into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// The keys that were there, each with the number of its first record.
struct Keys {
    shards: Vec<Shard>,
    count: u64,
    max: u64,
}

/// A key is a digest already: eight bytes of it are its hash.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of a key, which says nothing.
    fn write_usize(&mut self, _length: usize) {}
}

impl Keys {
    fn new(max: u64) -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(), count: 0, max }
    }

    /// The number of the record that had the key before; `None` where this is the first.
    fn insert(&mut self, key: Key, record: u64) -> Result<Option<u64>, Failure> {
        // By the last byte, which is none of those that the tables hash by.
        match self.shards[usize::from(key[15])].entry(key) {
            Entry::Occupied(first) => Ok(Some(*first.get())),
            Entry::Vacant(_) if self.count == self.max => {
                let observed = format!("{} keys and more, up to record {record}", self.max + 1);
                Err(Failure::limit(Code::LimitUniqueKeys, observed, self.max))
            }
            Entry::Vacant(place) => {
                place.insert(record);
                self.count += 1;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(record: u64) -> Key {
        key(Sha256::new().chain_update(record.to_le_bytes()))
    }

    /// Buckets of a key, a number and a byte of control, of which 7 of 8 are used at most (hashbrown); and twice those of
    /// the table that grows.
    #[test]
    fn keys_take_no_more_memory_than_they_are_given() {
        let mut keys = Keys::new(300_000);
        for record in 0..300_000u64 {
            assert_eq!(keys.insert(key_of(record), record), Ok(None));
            if record >= 20_000 && record.is_multiple_of(1_000) {
                let buckets = |shard: &Shard| (shard.capacity() as u64 * 8).div_ceil(7);
                let all: u64 = keys.shards.iter().map(buckets).sum();
                let largest = keys.shards.iter().map(buckets).max().unwrap_or_default();
                let bytes = (all + largest) * 25;
                assert!(bytes <= (record + 1) * 64, "{bytes} bytes for {record} keys");
            }
        }
        assert_eq!(keys.insert(key_of(7), 300_001), Ok(Some(7)));
        let failure = keys.insert(key_of(300_000), 300_002).unwrap_err();
        assert_eq!(
            failure.message,
            "observed 300001 keys and more, up to record 300002, the route allows 300000"
        );
    }
}
