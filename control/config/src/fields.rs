//! Fields that several documents have.

use eft_api::Fault;
use eft_domain::sftp::Folder;
use serde_json::{Map, Value};

/// What is off where it is not said.
pub(crate) fn switch(fields: &Map<String, Value>, name: &str, faults: &mut Vec<Fault>) -> bool {
    let Some(value) = fields.get(name) else { return false };
    value.as_bool().unwrap_or_else(|| {
        faults.push(Fault::new(format!("/{name}"), "must be true or false"));
        false
    })
}

/// A folder; that of the tenant where it is not said, none where it is wrong.
pub(crate) fn folder(fields: &Map<String, Value>, name: &str, faults: &mut Vec<Fault>) -> Option<Folder> {
    let Some(value) = fields.get(name) else { return Some(Folder::default()) };
    // What is no text is as little a folder as the root is.
    let folder = value.as_str().unwrap_or("/").parse();
    folder.map_err(|error| faults.push(Fault::new(format!("/{name}"), format!("{error}")))).ok()
}

/// What `read` makes of each item of a list, which has at most so many.
pub(crate) fn each<T>(
    fields: &Map<String, Value>,
    name: &str,
    most: usize,
    faults: &mut Vec<Fault>,
    read: impl Fn(&Value, &str, &mut Vec<Fault>) -> Option<T>,
) -> Vec<T> {
    let Some(value) = fields.get(name) else { return Vec::new() };
    let Some(items) = value.as_array().filter(|items| items.len() <= most) else {
        faults.push(Fault::new(format!("/{name}"), format!("must be a list of at most {most}")));
        return Vec::new();
    };
    let items = items.iter().enumerate();
    items.filter_map(|(at, item)| read(item, &format!("/{name}/{at}"), faults)).collect()
}

/// A text that is something.
pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    value: &Value,
    path: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let read = value.as_str().ok_or_else(|| "must be text".to_owned());
    let read = read.and_then(|text| text.parse::<T>().map_err(|error| error.to_string()));
    read.map_err(|detail| faults.push(Fault::new(path, detail))).ok()
}
