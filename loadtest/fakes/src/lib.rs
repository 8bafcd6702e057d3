//! Port-level fakes.
