//! One pass of the engine, for those who order passes themselves.

use std::{sync::Arc, time::SystemTime};

use eft_domain::{Failure, ObjectUri, Receipt, Route, RunId};
use eft_pipeline::{
    given::Given,
    keys::{Keyring, Keys, NoKeys},
};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::transfer::Engine;
use crate::{keys::Folder, place::Goal, run, secrets};

/// One pass over a source: what is done to its bytes, and where they go.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What is done.
    pub route: Route,
    /// Where from.
    pub source: ObjectUri,
    /// Where to.
    pub goal: Goal,
    /// Which run this is a part of.
    pub run: RunId,
}

impl Engine {
    /// The secrets, keys and scanner that a route names.
    ///
    /// # Errors
    /// One of them is not there, or not what it should be.
    pub async fn given(&self, route: &Route) -> Result<Given, Failure> {
        // A name in a route means what its tenant has under it, and nobody else.
        let folder = self.keys.as_ref().zip(route.tenant.as_ref()).map(|(all, tenant)| all.of_tenant(tenant));
        let secrets = Arc::new(secrets::read(folder.as_ref().map(Folder::path), route)?);
        let keys: &dyn Keys = folder.as_ref().map_or(&NoKeys, |folder| folder);
        let keys = Keyring::resolve(&route.stages, keys, SystemTime::now()).boxed().await?;
        Ok(Given { secrets, keys, scanner: self.scanner.clone(), ..Given::default() })
    }

    /// Look at the source and plan; no byte is moved.
    ///
    /// # Errors
    /// As [`run::Job::look`], and as [`Engine::given`].
    pub fn look(&self, pass: Pass) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let given = self.given(&pass.route).await?;
            self.job(pass, given).look(self.shared.pool.threads()).await.map(drop)
        }
        .boxed()
    }

    /// Carry it out, without a checkpoint: what it had begun is begun anew.
    ///
    /// # Errors
    /// Only what keeps a receipt from being written.
    pub fn pass(&self, pass: Pass, cancel: CancellationToken) -> BoxFuture<'_, Result<run::Done, Failure>> {
        async move {
            let given = self.given(&pass.route).await?;
            let job = self.job(pass, given);
            async move { job.run(cancel, |_, _| ()).await }.boxed().await
        }
        .boxed()
    }

    /// The receipt of a pass that was not begun, because its place has refused it.
    ///
    /// # Errors
    /// As [`run::Job::refused`].
    pub fn refused(&self, pass: Pass, why: Failure) -> BoxFuture<'_, Result<Receipt, Failure>> {
        async move { self.job(pass, Given::default()).refused(&[why]).await }.boxed()
    }

    fn job(&self, pass: Pass, given: Given) -> run::Job {
        run::Job {
            route: pass.route,
            source: pass.source,
            destinations: vec![pass.goal],
            memory: self.memory,
            concurrency: self.concurrency,
            part_size: None,
            given,
            server_copy: true,
            run: Some(pass.run),
            shared: Some(self.shared.clone()),
            checkpoint: None,
            // The state machine has asked before it comes to a pass.
            permit: None,
            interval: None,
        }
    }
}
