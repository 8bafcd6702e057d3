//! What is said of a run: first to everybody who asked for it, then to the queue.

use std::{fmt::Display, time::Duration};

use eft_domain::Job;

use super::{
    poll::{Turn, Worker},
    queue::Received,
};

impl Worker {
    /// Tell how a run ended. Its message is deleted only when that was told.
    pub(super) async fn report(&self, job: &Job, received: &Received) -> Turn {
        let code = job.failure.as_ref().map_or("", |failure| failure.code.as_str());
        log(
            "run",
            &[("job", &job.id), ("state", &job.state), ("code", &code), ("receives", &received.receives)],
        );
        self.pulse.ended(job.state);
        let told = self.desk.tell(job).await;
        if let Some(tenant) = &job.tenant
            && let Err(error) = self.desk.release(std::slice::from_ref(tenant)).await
        {
            // The sweep lets them in.
            log("release", &[("tenant", tenant), ("error", &error)]);
        }
        match told {
            Ok(_) => Turn::Delete,
            Err(error) => {
                log("tell", &[("job", &job.id), ("error", &error)]);
                Turn::Again(Duration::from_secs(30))
            }
        }
    }
}

/// One line of JSON.
pub(crate) fn log(event: &str, fields: &[(&str, &dyn Display)]) {
    let mut line = serde_json::Map::new();
    line.insert("at".to_owned(), jiff::Timestamp::now().to_string().into());
    line.insert("event".to_owned(), event.into());
    for (name, value) in fields {
        line.insert((*name).to_owned(), value.to_string().into());
    }
    println!("{}", serde_json::Value::Object(line));
}
