//! Messages of the queues: what is read is written and read as the same, and what is refused has a code.

use eft_domain::message::{Created, Ingest, MessageError, WorkMessage};

/// A message of `ingest.fifo`.
pub fn ingest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Ingest::parse(text) {
        Ok(Ingest::Created(created)) => {
            // An ETag of quotes only is empty, and an empty one is read as none.
            let created = Created { etag: created.etag.filter(|etag| !etag.is_empty()), ..created };
            let canonical = created.to_message();
            assert_eq!(Ingest::parse(&canonical), Ok(Ingest::Created(created.clone())), "{canonical}");
            assert_eq!(created.to_message(), canonical, "the queue knows duplicates by this text");
        }
        Ok(Ingest::Uploaded(uploaded)) => assert!(!uploaded.key.as_str().is_empty()),
        Err(error) => sound(&error),
    }
}

/// A message of `work.fifo`.
pub fn work_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match WorkMessage::parse(text) {
        Ok(message) => {
            assert_eq!(WorkMessage::parse(&message.to_message()), Ok(message.clone()));
            assert!(message.deduplication_id().len() <= 128, "SQS takes no longer one");
        }
        Err(error) => sound(&error),
    }
}

fn sound(error: &MessageError) {
    assert!(error.code().starts_with("message."), "{error}");
    let said = error.to_string();
    assert!(said.starts_with(error.code()), "{said}");
    assert!(said.chars().count() < 2_000, "what a sender has written does not fill the log");
    assert!(
        !said.contains(char::is_control),
        "what a sender has written does not control a terminal: {said:?}"
    );
}
