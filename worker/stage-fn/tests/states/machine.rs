//! Step Functions as far as our state machine uses them, driven by the real file.

use std::path::Path;

use serde_json::{Value, json};

/// The file, as it is deployed.
pub(crate) struct Machine(Value);

/// How an execution ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In this state.
    In(String),
    /// With this error.
    With(String),
}

/// A call of the function: the error's name where there is one.
pub(crate) type Answer = Result<Value, String>;

impl Machine {
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/state-machine/run.asl.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    pub(crate) fn states(&self) -> &serde_json::Map<String, Value> {
        self.0["States"].as_object().unwrap()
    }

    pub(crate) fn start(&self) -> &str {
        self.0["StartAt"].as_str().unwrap()
    }

    /// The request of a state: the one expression that the file has for it.
    pub(crate) fn request(&self, state: &str, execution: &str, input: &Value) -> Value {
        let payload = self.states()[state]["Arguments"]["Payload"].as_str().unwrap();
        let stage = payload.split('\'').nth(3).unwrap();
        let expected = format!(
            "{{% $merge([$states.input, {{'stage': '{stage}', 'execution': $states.context.Execution.Id}}]) %}}"
        );
        assert_eq!(payload, expected, "an expression that this machine does not know");
        let mut request = input.clone();
        request["stage"] = stage.into();
        request["execution"] = execution.into();
        request
    }

    /// What follows an error: another try, another state with its input, or the end.
    fn caught(&self, state: &str, error: &str, input: &Value) -> Option<(String, Value)> {
        let catchers = self.states()[state]["Catch"].as_array().unwrap();
        let catcher = catchers.iter().find(|catcher| matches(&catcher["ErrorEquals"], error))?;
        let next = catcher["Next"].as_str().unwrap().to_owned();
        let output = match catcher["Output"].as_str().unwrap() {
            "{% $states.input %}" => input.clone(),
            "{% $merge([$states.input, {'error': $states.errorOutput.Error}]) %}" => {
                let mut output = input.clone();
                output["error"] = error.into();
                output
            }
            other => panic!("an expression that this machine does not know: {other}"),
        };
        Some((next, output))
    }

    fn retries(&self, state: &str, error: &str) -> u64 {
        let retriers = self.states()[state]["Retry"].as_array().unwrap();
        let retrier = retriers.iter().find(|retrier| matches(&retrier["ErrorEquals"], error));
        retrier.map_or(0, |retrier| retrier["MaxAttempts"].as_u64().unwrap())
    }

    /// An execution from a state on. `call` is given the state's name and what is asked.
    pub(crate) async fn run(
        &self,
        from: &str,
        execution: &str,
        input: Value,
        mut call: impl AsyncFnMut(&str, Value) -> Answer,
    ) -> Ended {
        let (mut state, mut input) = (from.to_owned(), input);
        loop {
            let definition = &self.states()[&state];
            if definition["Type"] == json!("Succeed") {
                return Ended::In(state);
            }
            assert_eq!(definition["Output"], json!("{% $states.result.Payload %}"));
            let mut tries = 0;
            let answer = loop {
                match call(&state, self.request(&state, execution, &input)).await {
                    Err(error) if tries < self.retries(&state, &error) => tries += 1,
                    answer => break answer,
                }
            };
            match answer {
                Ok(output) => match definition["Next"].as_str() {
                    Some(next) => (state, input) = (next.to_owned(), output),
                    None => return Ended::In(state),
                },
                Err(error) => match self.caught(&state, &error, &input) {
                    Some(next) => (state, input) = next,
                    None => return Ended::With(error),
                },
            }
        }
    }
}

fn matches(names: &Value, error: &str) -> bool {
    names.as_array().unwrap().iter().any(|name| name == "States.ALL" || name == error)
}
