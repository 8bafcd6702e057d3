//! Where a job stands.

words! {
    /// Where a job stands.
    pub enum JobState {
        /// Heard of; never stored.
        Arrived = "ARRIVED",
        /// There, and not known to be whole.
        Incomplete = "INCOMPLETE",
        /// No route takes it.
        Unrouted = "UNROUTED",
        /// To be run: waiting for its tenant's share, in a queue, or handed back.
        Accepted = "ACCEPTED",
        /// An owner reads and writes; nothing is visible.
        Running = "RUNNING",
        /// Everything is checked and sent, and is being published.
        Delivering = "DELIVERING",
        /// Waits for somebody, or for a time.
        Held = "HELD",
        /// Every destination has it.
        Succeeded = "SUCCEEDED",
        /// Some destinations have it.
        PartiallyDelivered = "PARTIALLY_DELIVERED",
        /// The sender's fault.
        Rejected = "REJECTED",
        /// Ours or the destination's fault.
        Failed = "FAILED",
        /// Stopped on request.
        Cancelled = "CANCELLED",
    }
}

impl JobState {
    /// Whether the run has ended: only a new run changes it.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::PartiallyDelivered | Self::Rejected | Self::Failed | Self::Cancelled
        )
    }

    /// Whether an owner may hold it.
    pub const fn is_owned(self) -> bool {
        matches!(self, Self::Running | Self::Delivering)
    }
}
