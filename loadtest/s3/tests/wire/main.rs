//! The server over the wire, through a raw client. Real clients are in `clients.py`.

mod client;
mod faults;
mod multipart;
mod objects;
