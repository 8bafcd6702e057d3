//! A run that stops, saves its state, and goes on in a fresh stage.
#![allow(dead_code, reason = "each test uses what it needs")]

use bytes::Bytes;
use eft_domain::{
    Failure,
    route::{Limits, StageSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive};
use eft_pipeline::stage::{AnyStage, Flow, Input, Output, Stage, StageReport};

pub(crate) fn stage(spec: &StageSpec, limits: &Limits) -> AnyStage {
    AnyStage::new(spec, limits).unwrap().unwrap()
}

/// All at once, cut as the seed says, and byte by byte; all must come to the same end.
pub(crate) fn any_arrival(spec: &StageSpec, limits: &Limits, input: &[u8], seed: u64) -> Outcome {
    let input = Bytes::copy_from_slice(input);
    let run = |arrival: &Arrival| drive(vec![stage(spec, limits)], arrival);
    let whole = run(&Arrival::whole(&input));
    whole.assert_same(&run(&Arrival::seeded(&input, seed, 1)));
    if input.len() < 10_000 {
        whole.assert_same(&run(&Arrival::bytewise(&input)));
    }
    whole
}

/// The verdict, the output and the report of a run that is asked for its state from byte `at` on and goes on from it,
/// and whether it could be asked. Of a run that failed the output is left out.
pub(crate) fn resumed(
    spec: &StageSpec,
    limits: &Limits,
    input: &[u8],
    at: usize,
) -> (Result<Vec<u8>, Failure>, StageReport, bool) {
    let mut first = stage(spec, limits);
    let (mut waiting, mut output) = (Input::default(), Output::with_room(0));
    waiting.push(Bytes::copy_from_slice(&input[..at]));
    let stepped = first.step(&mut waiting, &mut output);
    assert!(stepped.is_err() || stepped == Ok(Flow::Hungry), "{stepped:?}");
    waiting.want_save(true);
    // From here a byte at a time, as far as it takes.
    let mut next = at;
    let mut flow = stepped;
    while flow == Ok(Flow::Hungry) && first.save().is_none() {
        match input.get(next) {
            Some(byte) => waiting.push(Bytes::copy_from_slice(&[*byte])),
            None => waiting.end(),
        }
        next += 1;
        flow = first.step(&mut waiting, &mut output);
    }
    let mut made = output.take().concat();
    if flow.is_err() || flow == Ok(Flow::Done) {
        return (flow.map(|_| made), first.report(), false);
    }
    let state = first.save().expect("it said that it has one");
    let text = serde_json::to_string(&state).unwrap();
    let mut second = stage(spec, limits);
    second.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(second.save().as_ref(), Some(&state), "restored, it has another state");
    let offset = waiting.offset();
    let mut rest = Input::starting_at(offset);
    rest.push(Bytes::copy_from_slice(&input[offset as usize..]));
    rest.end();
    let mut output = Output::with_room(0);
    let verdict = second.step(&mut rest, &mut output);
    assert!(verdict.is_err() || verdict == Ok(Flow::Done), "{verdict:?}");
    made.extend(output.take().concat());
    (verdict.map(|_| made), second.report(), true)
}

/// Saved and restored at every byte of `input`, the stage comes to the end of the run that was not stopped. Gives how
/// often it could be stopped.
pub(crate) fn resumes_alike(
    spec: &StageSpec,
    limits: &Limits,
    input: &[u8],
    whole: &Outcome,
    step: usize,
) -> usize {
    let places = (0..=input.len()).step_by(step.max(1));
    let stops = places.filter(|at| {
        let (verdict, report, stopped) = resumed(spec, limits, input, *at);
        assert_eq!(verdict.as_ref().err(), whole.verdict.as_ref().err(), "saved at {at}");
        assert_eq!(&report, whole.report(), "saved at {at}");
        if let Ok(bytes) = verdict {
            assert!(bytes == whole.bytes, "saved at {at}: another output");
        }
        stopped
    });
    stops.count()
}
