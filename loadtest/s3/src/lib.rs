//! An in-memory S3 over HTTP/1.1, in the clear or over TLS, that real clients accept, made to test and to measure against.
//!
//! # Overview
//!
//! Path-style requests, any SigV4 signature, never checked. Bodies are kept as the frames they arrived in and served as
//! the same frames, hashed once with CRC-64/NVME on arrival, so the server is never what is measured.
//!
//! - Bucket [`synthetic`](synthetic::BUCKET): any key that ends in a size exists, up to TiBs, at memory speed.
//! - Bucket [`discard`](DISCARD): writes keep size, CRC and metadata, no bytes; GET there is `InvalidObjectState`.
//! - [`Fault`]s on demand, by filter, count and probability; [`Profile`]s of endpoints that lack something.
//! - A log of every request, counts, and open uploads, for tests to assert on.
//!
//! ```no_run
//! use eft_s3::{Action, Config, Fault, Op, Server};
//!
//! let server = Server::start(Config::with_buckets(["ingest"]))?;
//! server.put_object("ingest", "a.csv", "1,2\n");
//! server.set_faults([Fault::on(Op::GetObject, Action::CutBody { after: 2 }).times(1)]);
//! // … run a client against `server.endpoint()` …
//! assert_eq!(server.count(Op::GetObject), 2);
//! assert!(server.open_uploads().is_empty());
//! # std::io::Result::Ok(())
//! ```
//!
//! # What differs from S3
//!
//! ETags are MD5s only where clients look: PUT bodies up to 8 MiB, or sent with `Content-MD5`. Else they are opaque,
//! in the multipart form (`hex-N`). Payload hashes and signatures are not checked. No ACLs, policies, lifecycle,
//! encryption, object lock or virtual-host addressing. An object shows the one checksum its writer chose, CRC-64/NVME
//! when it chose none; [`ObjectInfo::crc64`] is there always.

mod admin;
mod aws_chunked;
mod body;
mod checksum;
mod conditions;
mod config;
mod error;
mod faults;
mod log;
mod ops;
mod range;
mod receive;
mod rope;
mod router;
mod server;
mod store;
pub mod synthetic;
mod tls;
mod xml;

pub use config::{Config, Feature, Profile};
pub use error::Code;
pub use faults::{Action, Fault};
pub use log::{Record, Stats};
pub use router::Op;
pub use server::{ObjectInfo, OpenUpload, Server};
pub use store::DISCARD;
pub use tls::Tls;
