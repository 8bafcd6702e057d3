//! What becomes of a file that is whole, and who runs it: Step Functions what a function finishes in its time, the worker everything else.

use super::{Destination, Executor, OnEmpty, Ordering, Route, StageSpec};
use crate::{
    ByteSize, Code, Command, Failure,
    job::{Ending, Runner},
};

/// The largest file that Step Functions copies. S3 copies it itself, but a function waits for it: at 16 parts of 256 MiB
/// at once and 25 MB/s a part, a quarter of what S3 is known to do, it takes less than the five minutes for which an EXPRESS
/// execution lives.
pub const STEPS_COPY_MAX: ByteSize = ByteSize(100 << 30);

impl Route {
    /// What becomes of a file of this size that is whole.
    pub fn verdict(&self, size: u64) -> Command {
        let fail = |failure| Command::Dismiss(Ending::Failed(failure, None));
        let limit = self.limits.max_input_bytes.0;
        if size > limit {
            return fail(Failure::limit(Code::LimitInputBytes, format!("{size} bytes"), format!("{limit}")));
        }
        if size == 0 {
            match self.on_empty {
                OnEmpty::Accept => {}
                OnEmpty::Reject => return fail(Failure::new(Code::SourceEmpty, "the object has no bytes")),
                OnEmpty::Heartbeat => return Command::Dismiss(Ending::Succeeded(None)),
            }
        }
        if self.executor == Executor::Steps
            && let Some(why) = self.refuses_steps(size)
        {
            let message = format!("{why}: `executor: steps` cannot run it; set `executor: auto`");
            return fail(Failure::new(Code::PlanRefused, message));
        }
        Command::Accept
    }

    /// Who runs a file of this size.
    pub fn runner(&self, size: u64) -> Runner {
        match self.executor {
            Executor::Worker => Runner::Worker,
            Executor::Steps => Runner::Steps,
            Executor::Auto if self.refuses_steps(size).is_none() => Runner::Steps,
            Executor::Auto => Runner::Worker,
        }
    }

    /// Why Step Functions cannot run a file of this size.
    pub fn refuses_steps(&self, size: u64) -> Option<String> {
        if self.makes_several() {
            return Some(
                "several objects are made of one file, which has no one place to be staged at".into(),
            );
        }
        if self.names_archives_apart() {
            return Some(
                "each destination gets an archive with its own name in it, and one is staged".into(),
            );
        }
        if self.joins().is_some() {
            return Some("a manifest is small whatever it joins".into());
        }
        if self.ordering != Ordering::None {
            return Some("the order of a route is kept by `work.fifo`".into());
        }
        let most = if self.is_identity() { STEPS_COPY_MAX } else { self.small };
        (size > most.0).then(|| format!("{size} bytes are more than {most}"))
    }

    /// Whether one file may become several objects.
    pub fn makes_several(&self) -> bool {
        self.splits() || self.unpacks_several()
    }

    /// Whether destinations get archives that differ, because each is named after its own place.
    fn names_archives_apart(&self) -> bool {
        let unnamed = |stage: &StageSpec| matches!(stage, StageSpec::Zip(zip) if zip.entry.is_none());
        // Equal ends of templates make equal names; those that only happen to become equal are taken for different.
        let mut ends = self.destinations.iter().map(|Destination::S3(s3)| {
            let key = s3.key.to_string();
            key.rsplit_once('/').map_or(key.clone(), |(_, end)| end.to_owned())
        });
        let first = ends.next();
        self.stages.iter().any(unnamed) && ends.any(|end| Some(end) != first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Profile, SMALL_MAX};

    fn route(more: &str) -> Route {
        let text = format!(
            "{{id: r, tenant: t, match: {{prefix: tenants/t/}}, destinations: [{{s3: {{bucket: out-bucket, key: \"{{name}}\"}}}}], {more}}}"
        );
        Route::parse_yaml(&text, Profile::Platform).unwrap_or_else(|errors| panic!("{errors}: {text}"))
    }

    #[test]
    fn small_files_and_copies_go_to_step_functions_and_all_else_to_the_worker() {
        let (small, copied) = (SMALL_MAX.0, STEPS_COPY_MAX.0);
        let checked = "stages: [{validate: {utf8: {}}}]";
        for (more, size, runner) in [
            (checked, small, Runner::Steps),
            (checked, small + 1, Runner::Worker),
            ("stages: [{validate: {utf8: {}}}], small: 10", 11, Runner::Worker),
            ("stages: [{validate: {utf8: {}}}], executor: worker", 1, Runner::Worker),
            // Who asks for it is told why it is refused.
            ("stages: [{validate: {utf8: {}}}], executor: steps", small + 1, Runner::Steps),
            ("stages: []", small + 1, Runner::Steps),
            ("stages: []", copied, Runner::Steps),
            ("stages: []", copied + 1, Runner::Worker),
            ("stages: [], ordering: strict", 1, Runner::Worker),
        ] {
            assert_eq!(route(more).runner(size), runner, "{more}, {size} bytes");
        }
    }

    #[test]
    fn archives_that_are_named_after_their_places_are_staged_where_all_have_one_name() {
        for (stage, keys, runner) in [
            ("compress: {codec: zip}", ["a/{name}.zip", "b/{name}.zip"], Runner::Steps),
            ("compress: {codec: zip}", ["a/{name}.zip", "a/{job_id}.zip"], Runner::Worker),
            ("compress: {codec: zip, entry: orders}", ["a/{name}.zip", "a/{job_id}.zip"], Runner::Steps),
            ("compress: {codec: gzip}", ["a/{name}.gz", "a/{job_id}.gz"], Runner::Steps),
        ] {
            let places = keys.map(|key| format!("{{s3: {{bucket: out-bucket, key: \"{key}\"}}}}")).join(", ");
            let text = format!(
                "{{id: r, tenant: t, match: {{prefix: tenants/t/}}, stages: [{{{stage}}}], destinations: [{places}]}}"
            );
            let route = Route::parse_yaml(&text, Profile::Platform)
                .unwrap_or_else(|errors| panic!("{errors}: {text}"));
            assert_eq!(route.runner(1), runner, "{text}");
        }
    }

    #[test]
    fn what_becomes_several_objects_is_not_staged() {
        let text = "{id: r, tenant: t, match: {prefix: tenants/t/}, \
                    stages: [{decompress: {codec: zip, entries: \"*.csv\"}}], \
                    destinations: [{s3: {bucket: out-bucket, key: \"{name}\"}}]}";
        let unzips = Route::parse_yaml(text, Profile::Platform).unwrap();
        assert_eq!(unzips.runner(1), Runner::Worker);
        assert!(unzips.refuses_steps(1).unwrap().contains("several"));
        let joins = route("stages: [{concat: {}}]");
        assert_eq!(joins.runner(1), Runner::Worker);
        assert!(joins.refuses_steps(1).unwrap().contains("manifest"));
    }
}
