//! Whatever is sent, the answer is one that the document names.

use proptest::prelude::*;

use crate::kit::{Bed, ann};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_that_is_sent_is_a_fault_of_ours(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
        path in prop::sample::select(vec![
            "/v1/jobs", "/v1/jobs/JOB", "/v1/jobs/JOB/events", "/v1/jobs/JOB/runs", "/v1/jobs/JOB/receipt",
            "/v1/jobs/JOB/deliveries", "/v1/jobs/JOB/reject-report", "/v1/jobs/JOB:replay", "/v1/jobs/JOB:cancel",
            "/v1/jobs/x:resume", "/v1/arrivals", "/v1/fleet", "/v1/dead-letters/work:redrive",
        ]),
        tail in "([?&](state|route|run|cursor|limit|of)=[a-zA-Z0-9%_-]{0,8}|%[0-9a-f]{2}|/[a-z]{0,3})?",
        kind in prop::sample::select(vec!["application/json", "text/plain"]),
        tag in prop::sample::select(vec!["*", "\"1\"", "x"]),
        body in prop_oneof![
            "[ -~\n]{0,80}",
            r#"\{"(reason|route|x)": ("[a-z/.]{0,12}"|[0-9]{1,22}|null|\[\]|\{\})\}"#,
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bed = Bed::new().await;
            let job = bed.failed("a").await;
            let path = path.replace("JOB", &job.id.to_string());
            let headers = [("content-type", kind), ("if-none-match", tag), ("idempotency-key", "k")];
            let reply = bed.call(ann(), method, &format!("{path}{tail}"), &headers, body).await;
            assert!(!reply.status.is_server_error(), "{reply:?}");
        });
    }
}
