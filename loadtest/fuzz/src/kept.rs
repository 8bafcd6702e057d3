//! What a run keeps for the next owner: its text comes from a file or from a row, and may be another program's.

use eft_domain::Code;
use eft_pipeline::checkpoint::{Checkpoint, Pinned};
use eft_stage::notes::Notes;

/// A checkpoint of the engine.
pub fn checkpoint(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Checkpoint>(data) else { return };
    let text = serde_json::to_string(&read).expect("a checkpoint is JSON");
    assert_eq!(serde_json::from_str::<Checkpoint>(&text).ok(), Some(read.clone()), "{text}");
    let live = read.live_uploads().count();
    assert!(live <= read.sinks.len() && read.has_begun() == (live > 0));
    for sink in &read.sinks {
        assert!(sink.given_up().is_none() || sink.delivered().is_none(), "{sink:?} has two ends");
    }
    if let Err(refused) = read.admit(&read.pinned) {
        assert_eq!(refused.code, Code::CheckpointRefused, "it is its own run: only its format can be wrong");
    }
    let [source, route, destination, plan, delivery] =
        ["s3://another/object", "r", "d", "p", "i"].map(str::to_owned);
    let other = Pinned { source, route, destination, plan, delivery };
    let Err(refused) = read.admit(&other) else { panic!("another run goes on from it") };
    assert!(!refused.message.contains(char::is_control), "it controls a terminal: {:?}", refused.message);
}

/// The notes of the state machine's function.
pub fn notes(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Notes>(data) else { return };
    let Ok(text) = read.to_text() else { return };
    assert_eq!(serde_json::from_str::<Notes>(&text).ok(), Some(read.clone()), "{text}");
    let delivered = read.copies.keys().filter(|at| read.is_delivered(**at)).count();
    assert!(read.delivered(8) <= delivered.min(8));
}
