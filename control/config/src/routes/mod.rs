//! The endpoints of routes.

mod act;
mod draft;
mod name;
mod read;
mod save;
mod show;
mod simulate;
mod tag;
mod turn;

pub(crate) use act::{activate, pause};
pub(crate) use draft::validate;
pub(crate) use read::{get, list, revision, revisions};
pub(crate) use save::put;
pub(crate) use simulate::simulate;
