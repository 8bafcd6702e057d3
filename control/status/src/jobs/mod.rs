//! The endpoints of jobs.

mod act;
mod list;
mod read;
mod receipt;
mod show;

pub(crate) use act::{MOST_CHARS, cancel, reason_of, redeliver, replay, resume};
pub(crate) use list::{arrivals, list, states};
pub(crate) use read::{events, get, runs};
pub(crate) use receipt::{deliveries, receipt, reject_report};
pub(crate) use show::ACTS;
