//! A call of Transfer Family: the answer, and the line of the log that says what the answer does not.

use eft_store::{Clock, StoreError};
use serde_json::{Value, json};

use crate::{
    event::{Answer, Request},
    login::{Denied, Login},
};

/// Characters of what a caller says that the log repeats: the longest name of a user.
const CHARS: usize = 100;

/// Answer a call, and say in a line of the log what became of it.
///
/// # Errors
/// The tables could not be reached. Transfer Family lets nobody in whose call failed.
pub async fn answer(
    login: &Login,
    request: &Request,
    clock: Clock,
    log: impl Fn(Value),
) -> Result<Answer, StoreError> {
    let cut = |text: &str| text.chars().take(CHARS).collect::<String>();
    let mut line = json!({
        "level": "INFO",
        "event": "login",
        "user": cut(&request.username),
        "source": cut(&request.source_ip),
        "server": cut(&request.server_id),
        "protocol": cut(&request.protocol),
        "by": if request.password().is_some() { "password" } else { "key" },
    });
    let decided = login.decide(request, clock.now()).await;
    let answer = match &decided {
        Err(error) => {
            (line["level"], line["cause"]) = ("ERROR".into(), error.message.as_str().into());
            (line["outcome"], line["reason"]) = ("denied".into(), "store.unavailable".into());
            Err(error.clone())
        }
        Ok(decision) => {
            if let Some(user) = &decision.user {
                line["tenant"] = json!(user.tenant);
            }
            match &decision.welcome {
                Ok(welcome) => {
                    line["outcome"] = "admitted".into();
                    Ok(Answer::Welcome(welcome.clone()))
                }
                Err(denied) => {
                    // Names that nobody has are tried all day; a user that is locked, or cannot come in at all, is news.
                    if matches!(denied, Denied::Locking | Denied::PolicyTooLong) {
                        line["level"] = "WARN".into();
                    }
                    (line["outcome"], line["reason"]) = ("denied".into(), denied.as_str().into());
                    Ok(Answer::Denied {})
                }
            }
        }
    };
    log(line);
    answer
}
