//! A digest that is saved midway, as text.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};

use crate::stage::State;

/// The state of a digest, in hexadecimal.
pub(crate) fn save(digest: &impl SerializableState) -> State {
    digest.serialize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// A digest from its state; `None` when it is none.
pub(crate) fn restore<D: SerializableState>(state: &State) -> Option<D> {
    let text = state.as_str()?;
    let mut bytes = SerializedState::<D>::default();
    if !text.is_ascii() || text.len() != 2 * bytes.len() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    D::deserialize(&bytes).ok()
}
