//! The API over stores in memory. Every answer is held against the OpenAPI document: its status, its problem code and its
//! body are among those that the operation names.
#![allow(clippy::unwrap_used, reason = "tests")]

mod acting;
mod auditing;
#[path = "../../../api/testing/contract.rs"]
mod contract;
mod fleet;
mod kit;
mod limits;
mod listing;
mod problems;
mod reading;
mod receipts;
mod tenancy;
