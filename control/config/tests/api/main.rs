//! The API over stores in memory. Every answer is held against the OpenAPI document: its status, its problem code and its
//! body are among those that the operation names.
#![allow(clippy::unwrap_used, reason = "tests")]

mod acting;
mod auditing;
#[path = "../../../api/testing/contract.rs"]
mod contract;
mod kit;
mod lambda;
mod limits;
mod partners;
mod problems;
mod reading;
mod simulating;
mod tenancy;
mod tenants;
mod users;
mod writing;
