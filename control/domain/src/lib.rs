//! The words of the system.
