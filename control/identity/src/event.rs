//! What Transfer Family asks and what it takes for an answer (user guide, "Using AWS Lambda to integrate your identity
//! provider").

use std::fmt;

use eft_domain::sftp::SshKey;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

/// Somebody wants to log in. What is missing is empty, and nobody.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// As whom.
    pub username: String,
    /// With what; empty or missing where the login is one with a key.
    pub password: Option<String>,
    /// `SFTP`, `FTPS` or `FTP`.
    pub protocol: String,
    /// At which server.
    pub server_id: String,
    /// From where.
    pub source_ip: String,
}

impl Request {
    /// The password, if it is a login with one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref().filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Request {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("username", &self.username)
            .field("has_password", &self.password().is_some())
            .field("protocol", &self.protocol)
            .field("server_id", &self.server_id)
            .field("source_ip", &self.source_ip)
            .finish()
    }
}

/// What Transfer Family is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Come in.
    Welcome(Box<Welcome>),
    /// No; and not why.
    Denied {},
}

/// As what somebody comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Welcome {
    /// The ARN of the role with which files are written.
    pub role: String,
    /// What of the role's rights the session has: those on the user's own folder.
    pub policy: String,
    /// `LOGICAL`: the user sees its folder as `/`, and nothing of where that is.
    pub home_directory_type: &'static str,
    /// Where it is.
    pub home_directory_details: Home,
    /// One of these it has to hold. An answer to a password must have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<SshKey>,
}

/// The user's folder: `/bucket/prefix`, without a `/` at its end. It is written as Transfer Family wants it: a text that
/// holds JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(pub String);

impl Serialize for Home {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&json!([{ "Entry": "/", "Target": self.0 }]).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_is_sent_and_shown_without_its_password() {
        // The example of the user guide.
        let text = r#"{"username": "acme-erp", "password": "secret", "protocol": "SFTP", "serverId": "s-abcd123456", "sourceIp": "192.168.0.100"}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!((request.username.as_str(), request.password()), ("acme-erp", Some("secret")));
        assert_eq!(
            (request.server_id.as_str(), request.source_ip.as_str()),
            ("s-abcd123456", "192.168.0.100")
        );
        assert!(!format!("{request:?}").contains("\"secret\""));
        for text in [r#"{"username": "u", "password": ""}"#, r#"{"username": "u", "password": null}"#, "{}"] {
            let request: Request = serde_json::from_str(text).unwrap();
            assert_eq!(request.password(), None, "{text}");
        }
    }

    #[test]
    fn no_is_an_empty_object() {
        assert_eq!(serde_json::to_value(Answer::Denied {}).unwrap(), json!({}));
    }
}
