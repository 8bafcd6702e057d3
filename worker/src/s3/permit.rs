//! Leave to publish, asked of whoever owns the run before anything of it becomes visible.

use std::{fmt, sync::Arc};

use eft_pipeline::port::PortResult;
use futures::future::BoxFuture;

/// Says whether a run may publish still.
pub trait Permit: Send + Sync {
    /// It may, and from now on it cannot be cancelled. Asked before every write that publishes.
    ///
    /// # Errors
    /// It may not, or nobody can say.
    fn publish(&self) -> BoxFuture<'_, PortResult<()>>;
}

/// Of a client: whom to ask. Nobody where a run belongs to nobody else.
#[derive(Clone, Default)]
pub(super) struct Asked(Option<Arc<dyn Permit>>);

impl Asked {
    pub(super) fn of(permit: Option<Arc<dyn Permit>>) -> Self {
        Self(permit)
    }

    /// # Errors
    /// As [`Permit::publish`].
    pub(super) async fn publish(&self) -> PortResult<()> {
        match &self.0 {
            Some(permit) => permit.publish().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Asked").field(&self.0.is_some()).finish()
    }
}
