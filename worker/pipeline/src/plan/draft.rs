//! How a plan is drawn up: which stages make one step, what each step must hold, and where the rest of the memory goes.

use std::sync::Arc;

use eft_domain::{
    ByteSize, Code, Failure,
    route::{CompressSpec, ScanSpec, SplitSpec, StageSpec, ZipSpec},
};

use super::{Blocks, DEFAULT_PART, MIB, NEAR_PART, Plan, Request, Serial, Step, build};
use crate::{
    chain::{BETWEEN, ROOM},
    given::Given,
    pipe::PASSING,
    scan,
    schedule::PartSchedule,
    stage::{BlockCompressor, Kind, ResumeClass, Splitter, Stage, StageInfo},
    zip::{Frame, Packed},
};

/// Smallest range worth a request when memory is short. A request costs about as much CPU as copying 100 KiB.
const MIN_RANGE: u64 = MIB;

/// Blocks being compressed beyond one a thread, so that no thread waits for the next.
const SPARE_BLOCKS: usize = 1;

/// A run of stages that make one step.
enum Group {
    Serial { stages: Vec<Serial>, infos: Vec<StageInfo>, joins: bool },
    Bounds(Vec<u64>),
    Compress(BlockCompressor, Option<Frame>),
    Scan(ScanSpec),
    Split(SplitSpec),
}

impl Group {
    fn makes_bytes(&self) -> bool {
        match self {
            Self::Serial { infos, .. } => infos.iter().any(|info| info.kind != Kind::Tap),
            Self::Compress(..) => true,
            // The headers of a split are few, and held by nobody but the part they are in.
            Self::Bounds(_) | Self::Scan(_) | Self::Split(_) => false,
        }
    }
}

pub(super) struct Draft<'a> {
    request: &'a Request<'a>,
    groups: Vec<Group>,
    /// The source is several objects.
    joins: bool,
}

/// What is joined passes as it is, and is read in ranges like any other source.
const CONCAT: StageInfo =
    StageInfo { name: "concat", kind: Kind::Seek, ordered: false, resume: ResumeClass::R0, memory: 0 };

/// What the allocator holds of freed buffers beside those in flight. Identity of 2 GiB, resident but not mapped from a file:
/// 37 MiB in a budget of 32 MiB, 137 MiB in one of 128 MiB.
fn allocator_keeps(memory: u64) -> u64 {
    memory.saturating_sub(32 * MIB) / 12
}

impl<'a> Draft<'a> {
    pub(super) fn new(request: &'a Request<'a>) -> Result<Self, Failure> {
        let mut groups = Vec::new();
        let mut serial = Vec::new();
        // Of an archive only a part is read: a digest of that would say nothing of the source.
        if request.sha256 && request.archive.is_none() {
            serial.push(Serial::Sha256);
        }
        let close = |serial: &mut Vec<Serial>, groups: &mut Vec<Group>| -> Result<(), Failure> {
            if !serial.is_empty() {
                let stages = std::mem::take(serial);
                let infos =
                    build(&stages, 0, request.limits, &request.given)?.iter().map(Stage::info).collect();
                groups.push(Group::Serial { stages, infos, joins: false });
            }
            Ok(())
        };
        let mut joins = false;
        for (at, spec) in request.stages.iter().enumerate() {
            match spec {
                StageSpec::Concat(_) if at == 0 => joins = true,
                StageSpec::Concat(_) => {
                    return Err(refused("what the source names is joined by the first stage".into()));
                }
                StageSpec::Compress(spec) => {
                    close(&mut serial, &mut groups)?;
                    groups.push(Group::Compress(compressor(*spec), None));
                }
                StageSpec::Zip(_) if splits(&groups) => {
                    return Err(refused(
                        "makes an archive of one file, and the run makes several objects: compress with another codec"
                            .into(),
                    ));
                }
                StageSpec::Zip(spec) => {
                    close(&mut serial, &mut groups)?;
                    let frame = frame(spec, &request.given)?;
                    groups.push(Group::Compress(BlockCompressor::of_entry(spec), Some(frame)));
                }
                StageSpec::Scan(spec) => {
                    request.given.scanner()?;
                    close(&mut serial, &mut groups)?;
                    groups.push(Group::Scan(*spec));
                }
                StageSpec::Split(spec) => {
                    close(&mut serial, &mut groups)?;
                    groups.push(Group::Split(*spec));
                }
                StageSpec::Unzip(_) => match request.archive {
                    Some(archive) if serial.is_empty() && groups.is_empty() => {
                        if let [_, _, ..] = archive.entries[..] {
                            groups.push(Group::Bounds(bounds(&archive.entries)));
                        }
                        serial.push(Serial::Unzip(Arc::clone(&archive.entries)));
                        // Stages behind it see each entry by itself, or all of them as one.
                        if archive.entries.len() > 1 && !archive.apart {
                            close(&mut serial, &mut groups)?;
                            if let Some(Group::Serial { joins, .. }) = groups.last_mut() {
                                *joins = true;
                            }
                        }
                    }
                    _ => {
                        return Err(refused(
                            "an archive is unpacked by the first stage, after a look into it".into(),
                        ));
                    }
                },
                other => serial.push(Serial::Spec(other.clone())),
            }
        }
        let rewritten = |groups: &[Group], serial: &[Serial]| -> Result<bool, Failure> {
            let open = build(serial, 0, request.limits, &request.given)?;
            Ok(groups.iter().any(Group::makes_bytes)
                || open.iter().any(|stage| stage.info().kind != Kind::Tap))
        };
        // The output has a digest of its own only when it is not the input; several have none together.
        if request.sha256 && !splits(&groups) && rewritten(&groups, &serial)? {
            serial.push(Serial::Sha256);
        }
        close(&mut serial, &mut groups)?;
        Ok(Self { request, groups, joins })
    }

    fn infos(&self) -> Vec<StageInfo> {
        let infos = self.groups.iter().flat_map(|group| match group {
            Group::Serial { infos, .. } => infos.clone(),
            Group::Compress(compressor, _) => vec![compressor.info()],
            Group::Bounds(_) => Vec::new(),
            Group::Scan(_) => vec![scan::info()],
            Group::Split(spec) => vec![Splitter::info(spec, self.request.limits)],
        });
        self.joins.then_some(CONCAT).into_iter().chain(infos).collect()
    }

    pub(super) fn plan(self) -> Result<Plan, Failure> {
        let sink = self.request.sink;
        if let Some(size) = self.request.part_size {
            let (least, most) = (ByteSize(sink.min_part), ByteSize(sink.max_part));
            if !(sink.min_part..=sink.max_part).contains(&size.bytes()) {
                let message =
                    format!("parts of {size}: the destination takes {least} to {most}; change --part-size");
                return Err(refused(message));
            }
        }
        if self.groups.iter().any(Group::makes_bytes) {
            return self.rewriting();
        }
        let size = self.request.size.filter(|_| !splits(&self.groups));
        if let Some(size) = size.filter(|size| *size > sink.max_object) {
            return Err(refused(format!(
                "the object has {}, the destination takes at most {}",
                ByteSize(size),
                ByteSize(sink.max_object)
            )));
        }
        self.unchanged()
    }

    /// No new bytes: ranges become parts. Where they are sent while they are read (`pipe.rs`) memory is for those that are
    /// not taken so, and two of them are enough.
    fn unchanged(self) -> Result<Plan, Failure> {
        let Request { size, sink, concurrency, .. } = *self.request;
        // Where an object ends is not known before it is read, whatever the size of all of them.
        let known = size.filter(|_| !splits(&self.groups));
        let working = self.serial_memory();
        let window = self.request.memory.bytes().saturating_sub(working);
        let pipes = known.is_some() && self.groups.is_empty() && sink.passes;
        let floor = self.part_floor(if pipes { window / 2 } else { window / 6 }, self.usual_part());
        let (schedule, range) = match known {
            Some(size) => {
                let schedule = PartSchedule::known(size, floor, &sink);
                // An object smaller than a part leases what it has.
                self.affords(schedule.first().min(size) + working, "one part in memory")?;
                (schedule, schedule.first())
            }
            None => {
                let range = floor.min(self.usual_part().bytes());
                // A part may begin and end within a range, and holds both of them whole.
                self.affords(floor + 2 * range + working, "a part, and the ranges it begins and ends in,")?;
                (PartSchedule::unknown(floor, (window - 2 * range) / MIB * MIB, &sink), range)
            }
        };
        let least = if known.is_some() { schedule.first() } else { floor + 2 * range };
        let spared = window.saturating_sub(allocator_keeps(self.request.memory.bytes()));
        let input_window = spared.max(least).min(window);
        let each = if pipes { PASSING } else { schedule.first().max(1) };
        let in_flight = usize::try_from(input_window / each).unwrap_or(usize::MAX).max(1);
        let flight = concurrency.min(in_flight);
        let infos = self.infos();
        Ok(Plan {
            size,
            range_bytes: range,
            schedule,
            steps: self.steps(|_| (0, 0)),
            memory: self.request.memory.bytes(),
            input_window,
            reads: flight,
            writes: flight,
            max_input: self.request.limits.max_input_bytes.bytes(),
            refuse_empty: self.request.refuse_empty,
            max_output: self.max_output(&schedule),
            resume: weakest(&infos),
            infos,
            limits: self.request.limits.clone(),
            sink,
            given: self.request.given.clone(),
        })
    }

    /// New bytes: windows between the steps.
    fn rewriting(self) -> Result<Plan, Failure> {
        let Request { size, sink, concurrency, threads, .. } = *self.request;
        let memory = self.request.memory.bytes();
        // Larger parts where memory allows; the smallest are always good enough.
        let least = self.part_floor(0, DEFAULT_PART);
        self.affords(self.needs(1, least).sum(), "what the stages must hold at once")?;
        let floor = self.part_floor(memory / 8, DEFAULT_PART);
        let floor = if self.needs(1, floor).sum() <= memory { floor } else { least };
        // As many blocks in work as the machine can use, or as memory allows.
        let needs = |jobs| self.needs(jobs, floor);
        let jobs = (1..=threads + SPARE_BLOCKS).rev().find(|jobs| needs(*jobs).sum() <= memory / 4 * 3);
        let jobs = jobs.unwrap_or(1);
        let needs = needs(jobs);

        let spare = memory - needs.sum();
        let ranges = self.usual_part().bytes() * concurrency as u64;
        let input_window = needs.input + (spare / 3).min(ranges.saturating_sub(needs.input));
        // Blocks straight from the source may each hold a range that they share with the next one (see `needs`).
        let most = match self.groups.iter().find(|group| group.makes_bytes()) {
            Some(Group::Compress(first, _)) => input_window / (jobs as u64 + 1) - first.block_bytes() as u64,
            _ => input_window / 2,
        };
        let most = (most / MIB * MIB).clamp(MIN_RANGE, self.usual_part().bytes());
        let range = (input_window / concurrency as u64 / MIB * MIB).clamp(MIN_RANGE, most);
        // What input does not want, parts in flight do.
        let last = memory - needs.sum() - (input_window - needs.input) + needs.last();
        let bound = needs.windows.last().map_or(0, |(_, bound)| *bound);
        let cap = ((last - bound) / 2 / MIB * MIB).max(floor);
        // Memory is divided as for other parts, so that they reach as far when they have grown.
        let first = self.request.part_size.map_or(floor.min(self.usual_part().bytes()), |_| floor);
        let schedule = PartSchedule::unknown(first, cap, &sink);
        let writes =
            usize::try_from((last - bound) / schedule.first()).unwrap_or(usize::MAX).clamp(1, concurrency);
        let reads = usize::try_from(input_window / range).unwrap_or(usize::MAX).clamp(1, concurrency);
        let infos = self.infos();
        let windows = needs.windows.len();
        // Steps behind the last window make no bytes and need none.
        let sized = move |index: usize| {
            let window = if index + 1 == windows {
                last
            } else {
                needs.windows.get(index).map_or(0, |(window, _)| *window)
            };
            (window, jobs)
        };
        Ok(Plan {
            size,
            range_bytes: range,
            schedule,
            max_input: self.request.limits.max_input_bytes.bytes(),
            refuse_empty: self.request.refuse_empty,
            max_output: self.max_output(&schedule),
            steps: self.steps(sized),
            memory,
            input_window,
            reads,
            writes,
            resume: weakest(&infos),
            infos,
            limits: self.request.limits.clone(),
            sink,
            given: self.request.given.clone(),
        })
    }

    /// The least each window and working set must have with this many blocks in work.
    fn needs(&self, jobs: usize, part: u64) -> Needs {
        let mut windows: Vec<(u64, u64)> = Vec::new();
        for (index, group) in self.groups.iter().enumerate().filter(|(_, group)| group.makes_bytes()) {
            let bound = match group {
                Group::Serial { .. } | Group::Bounds(_) | Group::Scan(_) | Group::Split(_) => ROOM,
                Group::Compress(compressor, _) => compressor.bound(compressor.block_bytes()) as u64,
            };
            // Who holds what this group makes: the next group that makes bytes, or else the part being filled.
            let next = self.groups[index + 1..].iter().find(|group| group.makes_bytes());
            let held = match next {
                None => part,
                Some(Group::Serial { .. } | Group::Bounds(_) | Group::Scan(_) | Group::Split(_)) => ROOM,
                // Each block in work, and the one being filled, may keep a chunk alive that it shares with another.
                Some(Group::Compress(next, _)) => (jobs as u64 + 1) * (next.block_bytes() as u64 + ROOM),
            };
            let made = if matches!(group, Group::Compress(..)) { jobs as u64 * bound } else { 2 * bound };
            windows.push((held + made, bound));
        }
        let blocks: u64 = self
            .groups
            .iter()
            .map(|group| match group {
                Group::Compress(compressor, _) => jobs as u64 * compressor.info().memory,
                Group::Serial { .. } | Group::Bounds(_) | Group::Scan(_) | Group::Split(_) => 0,
            })
            .sum();
        // Blocks straight from the source hold ranges instead of chunks of a window.
        let head = match self.groups.iter().find(|group| group.makes_bytes()) {
            Some(Group::Compress(first, _)) => (jobs as u64 + 1) * (first.block_bytes() as u64 + MIN_RANGE),
            _ => 2 * MIN_RANGE,
        };
        Needs { input: head, windows, working: self.serial_memory() + blocks }
    }

    fn serial_memory(&self) -> u64 {
        let memory = self.groups.iter().map(|group| match group {
            Group::Serial { infos, .. } => {
                infos.iter().map(|info| info.memory).sum::<u64>() + BETWEEN as u64 * (infos.len() as u64 - 1)
            }
            Group::Bounds(_) => 0,
            Group::Scan(_) => scan::info().memory,
            Group::Split(spec) => Splitter::info(spec, self.request.limits).memory,
            Group::Compress(..) => 0,
        });
        memory.sum()
    }

    /// What parts and ranges grow up to before more of them are put in flight.
    fn usual_part(&self) -> ByteSize {
        if self.request.near { NEAR_PART } else { DEFAULT_PART }
    }

    /// The smallest part: what was asked for, or one that leaves several in flight.
    fn part_floor(&self, share: u64, usual: ByteSize) -> u64 {
        let min = self.request.sink.min_part.max(MIB);
        match self.request.part_size {
            Some(size) => size.bytes().max(1),
            None => (share / MIB * MIB).clamp(min, usual.bytes().max(min)),
        }
    }

    fn max_output(&self, schedule: &PartSchedule) -> u64 {
        schedule.reach().min(self.request.limits.max_output_bytes.bytes()).min(self.request.sink.max_object)
    }

    fn affords(&self, needed: u64, what: &str) -> Result<(), Failure> {
        if needed <= self.request.memory.bytes() { Ok(()) } else { Err(self.short(needed, what)) }
    }

    fn short(&self, needed: u64, what: &str) -> Failure {
        let (needed, has) = (ByteSize(needed.div_ceil(MIB) * MIB), self.request.memory);
        refused(format!("{what} needs {needed}, the memory is {has}: raise --memory to at least {needed}"))
    }

    fn steps(&self, window: impl Fn(usize) -> (u64, usize)) -> Vec<Step> {
        let mut made = 0;
        let steps = self.groups.iter().map(|group| {
            let (bytes, jobs) = window(made);
            made += usize::from(group.makes_bytes());
            match group {
                Group::Compress(compressor, frame) => {
                    let (compressor, frame) = (*compressor, frame.clone());
                    Step::Blocks(Blocks { compressor, frame, jobs, window: bytes })
                }
                Group::Serial { stages, joins, .. } if group.makes_bytes() => {
                    Step::Rewrite { stages: stages.clone(), window: bytes, joins: *joins }
                }
                Group::Bounds(ends) => Step::Bounds(ends.clone()),
                Group::Serial { stages, .. } => Step::Taps(stages.clone()),
                Group::Scan(spec) => Step::Scan(*spec),
                Group::Split(spec) => Step::Split(*spec),
            }
        });
        steps.collect()
    }
}

struct Needs {
    input: u64,
    /// Window and largest single reservation behind each group that makes bytes.
    windows: Vec<(u64, u64)>,
    working: u64,
}

impl Needs {
    fn sum(&self) -> u64 {
        self.input + self.working + self.windows.iter().map(|(window, _)| window).sum::<u64>()
    }

    fn last(&self) -> u64 {
        self.windows.last().map_or(0, |(window, _)| *window)
    }
}

/// What leaves the last group is several objects.
fn splits(groups: &[Group]) -> bool {
    groups.iter().fold(false, |several, group| match group {
        Group::Split(_) | Group::Bounds(_) => true,
        Group::Serial { joins: true, .. } => false,
        _ => several,
    })
}

/// Where each entry ends in all of them.
fn bounds(entries: &[Packed]) -> Vec<u64> {
    let ends = entries.iter().scan(0, |end, entry| {
        *end += entry.compressed;
        Some(*end)
    });
    ends.collect()
}

/// The archive around the entry that the route names, or else the one named after the destination.
fn frame(spec: &ZipSpec, given: &Given) -> Result<Frame, Failure> {
    let name = spec.entry.as_deref().or(given.entry_name.as_deref());
    let missing = || refused("the destination has no name for the file in the archive: say `entry`".into());
    Frame::new(name.ok_or_else(missing)?)
}

fn compressor(spec: CompressSpec) -> BlockCompressor {
    BlockCompressor::new(spec)
}

fn weakest(infos: &[StageInfo]) -> ResumeClass {
    infos.iter().map(|info| info.resume).max().unwrap_or(ResumeClass::R0)
}

fn refused(message: String) -> Failure {
    Failure::new(Code::PlanRefused, message)
}
