//! A receipt with its signature. Signing and verifying are the worker's (ring); here are the bytes and the envelope.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Receipt, SCHEMA, canonical, canonical::CanonicalError};
use crate::{text::shown, tree::Node};

/// Why a text is not a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not JSON, or not shaped like a receipt.
    #[error("not a receipt: {0}")]
    Malformed(String),
    /// Written by a version whose receipts mean something else.
    #[error("receipt schema `{found}` is unknown; this version reads `{SCHEMA}`, use a newer one")]
    UnknownSchema {
        /// What the receipt says.
        found: String,
    },
    /// Holds a number that cannot be signed.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// An Ed25519 signature over [`SignedReceipt::signed_bytes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// `Ed25519`.
    pub algorithm: String,
    /// Which key, as the signer names it.
    pub key_id: String,
    /// The public key, base64 of its 32 bytes. Says which key was used, not that it can be trusted.
    pub public_key: String,
    /// The signature, base64 of its 64 bytes.
    pub value: String,
}

/// A receipt with its signature.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedReceipt {
    /// What is signed.
    pub receipt: Receipt,
    /// The signature; none on a receipt written without a key.
    pub signature: Option<Signature>,
    /// The receipt as it stands in the file, with fields this version does not know.
    raw: Value,
}

impl SignedReceipt {
    /// A receipt and the signature over its [`Receipt::canonical_bytes`].
    ///
    /// # Errors
    /// See [`Receipt::canonical_bytes`].
    pub fn new(receipt: Receipt, signature: Option<Signature>) -> Result<Self, ReceiptError> {
        let raw = serde_json::to_value(&receipt).map_err(malformed)?;
        Ok(Self { receipt, signature, raw })
    }

    /// Reads a receipt file. Unknown fields are kept: they are part of what was signed.
    ///
    /// # Errors
    /// Not a receipt, or one of a schema this version does not know.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        #[derive(Deserialize)]
        struct File {
            receipt: Value,
            #[serde(default)]
            signature: Option<Signature>,
        }
        // A repeated key would let two readers see two receipts under one signature.
        let file = Node::read_json(text).map_err(|error| ReceiptError::Malformed(error.problem))?;
        let file =
            file.into_value().map_err(|key| ReceiptError::Malformed(format!("`{key}` stands twice")))?;
        let file = File::deserialize(file).map_err(malformed)?;
        // The schema first: a receipt of another one would only say that some field is missing.
        match file.receipt.get("schema") {
            Some(Value::String(schema)) if schema == SCHEMA => {}
            Some(Value::String(schema)) => {
                return Err(ReceiptError::UnknownSchema { found: shown(schema, 64) });
            }
            _ => return Err(ReceiptError::Malformed("`receipt.schema` is missing".to_owned())),
        }
        let receipt = Receipt::deserialize(&file.receipt).map_err(malformed)?;
        Ok(Self { receipt, signature: file.signature, raw: file.receipt })
    }

    /// The bytes the signature covers. They survive any reformatting of the file.
    ///
    /// # Errors
    /// The file holds a number that cannot be signed.
    pub fn signed_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        Ok(canonical::to_bytes(&self.raw)?)
    }

    /// The file: indented JSON, one line feed at the end.
    pub fn to_json(&self) -> String {
        let file = serde_json::json!({ "receipt": self.raw, "signature": self.signature });
        format!("{file:#}\n")
    }
}

fn malformed(error: serde_json::Error) -> ReceiptError {
    ReceiptError::Malformed(error.to_string())
}
