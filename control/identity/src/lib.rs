//! Who may log in to the SFTP server: what Transfer Family asks before it lets somebody in.
//!
//! # Overview
//! Transfer Family calls the function with a name, where the caller comes from, and a password or none ([`event`]). It
//! answers with the role, the folder and the session policy ([`policy`]) of the user, and for a login with a key with the
//! keys that the user has: Transfer Family itself proves that the caller holds one of them. `{}` lets nobody in. What is
//! decided, and by which rules, stands in [`login`]; wrong passwords are counted in [`failures`].
//!
//! # Failure handling
//! Where the tables cannot be reached nobody is let in, and the call fails, so that Lambda counts it.
//!
//! # Cancellation
//! A login with a key changes nothing, and is asked several times. One with a wrong password may have been counted or not.

pub mod config;
pub mod event;
pub mod failures;
pub mod handler;
pub mod login;
pub mod policy;

pub use config::Settings;
pub use event::{Answer, Request};
pub use login::{Denied, Login};
