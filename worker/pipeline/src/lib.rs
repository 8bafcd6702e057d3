//! The data path: plan → fetch → order → stages → pack → upload.

pub mod stage;
