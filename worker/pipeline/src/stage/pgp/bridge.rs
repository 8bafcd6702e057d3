//! A reader on a thread of its own, stepped like a state machine.
//!
//! rPGP pulls its input through `BufRead` and blocks; a stage is pushed and never waits for input. So the reader runs on
//! a thread that belongs to the stage, and the two take turns: the thread runs only while [`Bridge::step`] waits for it,
//! and stops when it wants input that is not there or has made a block of output. It is a coroutine.
//!
//! # Ordering
//! Because only one of the two runs at a time, and because [`Feed`] gives out the same blocks however the input was cut,
//! what the thread sees and makes depends on the bytes alone.
//!
//! # Progress
//! The thread sends exactly one event each time it stops and the stage answers exactly one kind of event,
//! [`Event::Want`], with exactly one message; both channels hold one. Neither side ever waits for a full channel, and
//! the stage waits only while the thread computes.
//!
//! # Cancellation
//! Dropping a bridge closes both channels, at which every read and write on the thread fails, and joins the thread: it
//! ends within the computation it is in.

use std::{
    io::{self, BufRead, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use bytes::{Buf, Bytes};
use crossbeam::channel::{Receiver, Sender, bounded};
use eft_domain::{Code, Failure};

use crate::stage::{Flow, Input, Output};

/// Bytes a feed gives out at once, and a sink hands over at once: a few tens of microseconds of work for a cipher,
/// against which changing threads shows little, and small enough for a second-level cache.
pub(super) const BLOCK: usize = 128 << 10;

/// Stack of the thread, of which only what is used takes memory. Layers of a message are few, and readers are on the
/// heap; big-number arithmetic is what goes deepest.
const STACK: usize = 2 << 20;

/// Why the thread stopped.
enum Event<T> {
    /// It needs input.
    Want,
    /// It made output.
    Made(Bytes),
    /// It is finished.
    Done(Result<T, Failure>),
}

/// What the thread does.
type Work<T> = Box<dyn FnOnce(Feed, Sink) -> Result<T, Failure> + Send>;

/// A thread that is stepped.
pub(super) struct Bridge<T> {
    work: Option<Work<T>>,
    running: Option<Running<T>>,
    /// Output that found no room yet.
    made: Bytes,
    /// The thread waits for input.
    wanting: bool,
    outcome: Option<T>,
}

struct Running<T> {
    to: Sender<Option<Bytes>>,
    from: Receiver<Event<T>>,
    thread: JoinHandle<()>,
}

impl<T: Send + 'static> Bridge<T> {
    /// A thread that starts with the first step.
    pub(super) fn new(work: impl FnOnce(Feed, Sink) -> Result<T, Failure> + Send + 'static) -> Self {
        Self { work: Some(Box::new(work)), running: None, made: Bytes::new(), wanting: false, outcome: None }
    }

    /// What the thread found, once it is finished.
    pub(super) fn outcome(&self) -> Option<&T> {
        self.outcome.as_ref()
    }

    /// As [`Stage::step`](crate::stage::Stage::step).
    pub(super) fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            if !self.made.is_empty() {
                let put = output.put(&self.made);
                self.made.advance(put);
                if !self.made.is_empty() {
                    return Ok(Flow::Full);
                }
            }
            if self.outcome.is_some() {
                return Ok(Flow::Done);
            }
            if self.wanting {
                let chunk = input.take_chunk();
                if chunk.is_none() && !input.is_ended() {
                    return Ok(Flow::Hungry);
                }
                self.wanting = false;
                let running = self.start()?;
                running.to.send(chunk).map_err(|_| died())?;
            }
            match self.start()?.from.recv() {
                Ok(Event::Want) => self.wanting = true,
                Ok(Event::Made(bytes)) => self.made = bytes,
                Ok(Event::Done(outcome)) => self.outcome = Some(outcome?),
                Err(_) => return Err(died()),
            }
        }
    }

    fn start(&mut self) -> Result<&Running<T>, Failure> {
        if let Some(work) = self.work.take() {
            let (to, input) = bounded(1);
            let (events, from) = bounded(1);
            let read = Arc::new(AtomicU64::new(0));
            let feed = Feed::new(Link { want: want(&events), from: input }, Arc::clone(&read));
            let sink = Sink { put: put(&events), block: Vec::with_capacity(BLOCK), read };
            let run = move || {
                let outcome = work(feed, sink);
                // Nobody listens any more when the stage was dropped.
                drop(events.send(Event::Done(outcome)));
            };
            let thread = std::thread::Builder::new().name("pgp".to_owned()).stack_size(STACK).spawn(run);
            let thread =
                thread.map_err(|error| Failure::new(Code::Internal, format!("no thread: {error}")))?;
            self.running = Some(Running { to, from, thread });
        }
        self.running.as_ref().ok_or_else(died)
    }
}

/// The thread ended without a verdict: it panicked.
fn died() -> Failure {
    Failure::new(Code::Internal, "the OpenPGP library gave up on this message")
}

impl<T> Drop for Bridge<T> {
    fn drop(&mut self) {
        if let Some(Running { to, from, thread }) = self.running.take() {
            drop((to, from));
            // A panic was told as a failure already.
            drop(thread.join());
        }
    }
}

/// The ends of the channels, without the type of the outcome.
type Want = Box<dyn Fn() -> io::Result<()> + Send>;
type Put = Box<dyn Fn(Bytes) -> io::Result<()> + Send>;

fn want<T: Send + 'static>(events: &Sender<Event<T>>) -> Want {
    let events = events.clone();
    Box::new(move || events.send(Event::Want).map_err(|_| gone()))
}

fn put<T: Send + 'static>(events: &Sender<Event<T>>) -> Put {
    let events = events.clone();
    Box::new(move |bytes| events.send(Event::Made(bytes)).map_err(|_| gone()))
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the stage was dropped")
}

struct Link {
    want: Want,
    from: Receiver<Option<Bytes>>,
}

/// The stage's input as a reader: blocks of [`BLOCK`] bytes, of which only the last is shorter.
pub(super) struct Feed {
    link: Link,
    /// What is left of the last chunk.
    chunk: Bytes,
    block: Vec<u8>,
    at: usize,
    ended: bool,
    read: Arc<AtomicU64>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("read", &self.read).finish_non_exhaustive()
    }
}

impl Feed {
    fn new(link: Link, read: Arc<AtomicU64>) -> Self {
        let block = Vec::with_capacity(BLOCK);
        Self { link, chunk: Bytes::new(), block, at: 0, ended: false, read }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.block.clear();
        self.at = 0;
        while self.block.len() < BLOCK && !self.ended {
            if self.chunk.is_empty() {
                (self.link.want)()?;
                match self.link.from.recv().map_err(|_| gone())? {
                    Some(chunk) => self.chunk = chunk,
                    None => self.ended = true,
                }
            }
            let n = self.chunk.len().min(BLOCK - self.block.len());
            self.block.extend_from_slice(&self.chunk[..n]);
            self.chunk.advance(n);
        }
        Ok(())
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.block.len() {
            self.refill()?;
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_by_filling(self, into)
    }
}

/// `Read` by way of `BufRead`.
pub(super) fn read_by_filling(from: &mut impl BufRead, into: &mut [u8]) -> io::Result<usize> {
    let available = from.fill_buf()?;
    let n = available.len().min(into.len());
    into[..n].copy_from_slice(&available[..n]);
    from.consume(n);
    Ok(n)
}

/// The stage's output as a writer. What is not flushed is lost.
pub(super) struct Sink {
    put: Put,
    block: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl Sink {
    /// Input bytes that were read so far.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..n]);
        if self.block.len() == BLOCK {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        (self.put)(block.into())
    }
}
