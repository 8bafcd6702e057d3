//! Steps stages as the pipeline does, over any chunks and with any room, and checks at every step what the contract
//! says of its [`Flow`].

use std::time::Duration;

use bytes::Bytes;
use eft_domain::Failure;
use eft_pipeline::{
    chain::{Chain, StageTotals},
    checkpoint::SavedStage,
    stage::{AnyStage, Flow, Output, StageReport},
};

use crate::Pattern;

/// Room that no test's output fills in one step.
const AMPLE: usize = 8 << 20;

/// How a stream arrives.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The bytes, in order; some may be empty.
    pub chunks: Vec<Bytes>,
    /// How many chunks wait, at most, when the stages are stepped. Not 0.
    pub waiting: usize,
    /// Room of the outputs, in turn. None is 0.
    pub rooms: Vec<usize>,
}

impl Arrival {
    /// All at once, with ample room.
    pub fn whole(bytes: &Bytes) -> Self {
        Self { chunks: vec![bytes.clone()], waiting: 1, rooms: vec![AMPLE] }
    }

    /// Byte by byte, with ample room.
    pub fn bytewise(bytes: &Bytes) -> Self {
        let chunks = (0..bytes.len()).map(|at| bytes.slice(at..=at)).collect();
        Self { chunks, waiting: 1, rooms: vec![AMPLE] }
    }

    /// Cut at the places, which may be in any order, repeated and behind the end.
    pub fn cut(bytes: &Bytes, places: &[usize], waiting: usize, rooms: &[usize]) -> Self {
        let mut places: Vec<_> =
            places.iter().map(|place| place % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
        places.sort_unstable();
        let chunks = places.windows(2).map(|pair| bytes.slice(pair[0]..pair[1])).collect();
        Self { chunks, waiting, rooms: rooms.to_vec() }
    }

    /// Cut as the seed says, into pieces of one byte up to about a thousand, with rooms of `least` bytes and more.
    pub fn seeded(bytes: &Bytes, seed: u64, least: usize) -> Self {
        let mut pattern = Pattern::new(seed);
        let mut below = |bound: usize| (pattern.word() % bound as u64) as usize;
        let (mut chunks, mut from) = (Vec::new(), 0);
        // Most pieces of one arrival are of one magnitude, so that few cuts and many cuts both occur.
        let magnitude = below(11);
        while from < bytes.len() {
            let scale = if below(4) == 0 { below(11) } else { magnitude };
            let to = bytes.len().min(from + 1 + below(1 << scale));
            chunks.push(bytes.slice(from..to));
            from = to;
        }
        let rooms = (0..4).map(|_| least.max(1) + below(1 << magnitude)).collect();
        Self { chunks, waiting: 1 + below(3), rooms }
    }
}

/// What came of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What the last stage made or passed on.
    pub bytes: Vec<u8>,
    /// Whether the stages were content.
    pub verdict: Result<(), Failure>,
    /// What each stage counted; without the time, which no two runs share.
    pub stages: Vec<StageTotals>,
}

impl Outcome {
    /// The report of the only stage.
    ///
    /// # Panics
    /// When there are several.
    pub fn report(&self) -> &StageReport {
        assert_eq!(self.stages.len(), 1, "which of the stages?");
        &self.stages[0].report
    }

    /// Panics unless `other`, the same bytes in another arrival, came to the same end: output, verdict and reports. Of
    /// a stream that was refused the outputs need not be equally long, and of several stages those before the one that
    /// refused need not have come equally far.
    pub fn assert_same(&self, other: &Self) {
        assert_eq!(self.verdict, other.verdict, "the verdict depends on the arrival");
        if self.verdict.is_ok() {
            assert!(self.bytes == other.bytes, "the output depends on the arrival");
            assert_eq!(self.stages, other.stages, "the counts depend on the arrival");
            return;
        }
        let both = self.bytes.len().min(other.bytes.len());
        assert!(self.bytes[..both] == other.bytes[..both], "the output depends on the arrival");
        if let ([one], [two]) = (&self.stages[..], &other.stages[..]) {
            assert_eq!(one.report, two.report, "the report depends on the arrival");
        }
    }
}

/// Run stages over a stream.
///
/// # Panics
/// When a step breaks the contract of [`Flow`], or there are no stages.
pub fn drive(stages: Vec<AnyStage>, arrival: &Arrival) -> Outcome {
    run(Chain::new(stages), arrival, |_, _, _| ())
}

/// Run stages over a stream and save them wherever a chunk ends; then go on from every place that was saved, with
/// stages that are made anew, and panic unless each of these runs comes to the end of the first: the rest of its output,
/// its verdict, its counts. Returns the first run, and how many places there were.
///
/// # Panics
/// Also as [`drive`], and when a saved state is refused.
pub fn resumed(stages: impl Fn() -> Vec<AnyStage>, arrival: &Arrival) -> (Outcome, usize) {
    /// A place that was saved: where the mark was, and where the output stood.
    struct Place {
        position: u64,
        saved: Vec<SavedStage>,
        made: usize,
    }
    let mut places = Vec::new();
    let mut asked = None;
    let whole = run(Chain::new(stages()), arrival, |chain, position, made| {
        if let Some(saved) = chain.take_saved() {
            // A checkpoint is text.
            let text = serde_json::to_string(&saved).expect("a state that can be written");
            let saved = serde_json::from_str(&text).expect("a state that can be read");
            places.push(Place { position: asked.expect("somebody asked"), saved, made });
        }
        if asked != Some(position) && chain.want_save(position) {
            asked = Some(position);
        }
    });
    let count = places.len();
    let bytes: Bytes = arrival.chunks.concat().into();
    for Place { position, saved, made } in places {
        let chain = Chain::resumed(stages(), saved).expect("a state of these stages");
        let rest = Arrival {
            chunks: vec![bytes.slice(position as usize..)],
            waiting: arrival.waiting,
            rooms: arrival.rooms.clone(),
        };
        let mut rest = run(chain, &rest, |_, _, _| ());
        rest.bytes.splice(..0, whole.bytes[..made].iter().copied());
        whole.assert_same(&rest);
    }
    (whole, count)
}

/// Run a chain; `between` sees it, the bytes pushed so far and the bytes made so far after each step that asks for
/// more input or stops at a boundary.
fn run(mut chain: Chain, arrival: &Arrival, mut between: impl FnMut(&mut Chain, u64, usize)) -> Outcome {
    let mut chunks = arrival.chunks.iter().cloned();
    let mut rooms = arrival.rooms.iter().copied().cycle();
    let mut bytes = Vec::new();
    let mut pushed = 0;
    // What a tap had in hand when the chain stopped at a boundary was made for the room before.
    let mut stopped = false;
    let verdict = loop {
        let room = rooms.next().expect("a room");
        let mut output = Output::with_room(room);
        let flow = chain.step(&mut output);
        assert!(output.made() <= room, "made more than there was room for");
        let len = output.len();
        bytes.extend(output.take().concat());
        match flow {
            Ok(Flow::Full) => assert!(len == room || (stopped && len > room), "full with room left"),
            Ok(Flow::Boundary) => {
                stopped = true;
                between(&mut chain, pushed, bytes.len());
            }
            Ok(Flow::Hungry) => {
                between(&mut chain, pushed, bytes.len());
                let input = chain.input();
                assert!(input.is_empty() && !input.is_ended(), "hungry with input left, or at the end");
                let before = chunks.len();
                for chunk in chunks.by_ref().take(arrival.waiting) {
                    pushed += chunk.len() as u64;
                    input.push(chunk);
                }
                if before == 0 {
                    input.end();
                }
            }
            Ok(Flow::Done) => {
                assert!(chain.input().is_finished(), "done with input left");
                break Ok(());
            }
            Err(failure) => break Err(failure),
        }
    };
    let stages = chain.totals().into_iter().map(|totals| StageTotals { busy: Duration::ZERO, ..totals });
    Outcome { bytes, verdict, stages: stages.collect() }
}
