//! Runs a stage to a state, and on from there with a fresh one.

use bytes::Bytes;
use eft_pipeline::stage::{AnyStage, Flow, Input, Output, Stage};

/// What came of a stream that was resumed once.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// Where the state was.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Run to the first state that can be had once the bytes before `cut` are consumed, and on from there. `None`: the
/// stream came to an end before there was one.
pub(crate) fn resume(
    stage: impl Fn() -> AnyStage,
    bytes: &Bytes,
    cut: usize,
    room: usize,
) -> Option<Resumed> {
    let (mut first, mut input) = (stage(), Input::default());
    let (mut made, mut fed) = (Vec::new(), 0);
    input.want_save(cut == 0);
    let state = loop {
        let mut output = Output::with_room(room);
        let flow = first.step(&mut input, &mut output);
        made.extend(output.take().concat());
        match flow.ok()? {
            Flow::Boundary => break first.save().expect("a state at a boundary"),
            Flow::Hungry if fed == cut && !input.wants_save() => input.want_save(true),
            Flow::Hungry if fed == bytes.len() => input.end(),
            Flow::Hungry => {
                let to = if fed < cut { cut } else { bytes.len().min(fed + 3) };
                input.push(bytes.slice(fed..to));
                fed = to;
            }
            Flow::Full => {}
            Flow::Done => return None,
        }
    };
    let offset = input.offset();
    let (mut second, mut input) = (stage(), Input::resumed(offset, 0));
    second.restore(serde_json::from_str(&state.to_string()).expect("JSON")).expect("its own state");
    input.push(bytes.slice(usize::try_from(offset).expect("it is in memory")..));
    input.end();
    let mut output = Output::with_room(1 << 20);
    assert_eq!(second.step(&mut input, &mut output), Ok(Flow::Done));
    made.extend(output.take().concat());
    Some(Resumed { offset, bytes: made })
}
