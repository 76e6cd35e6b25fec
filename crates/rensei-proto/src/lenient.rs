//! Decoding helpers for foreign JSON.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// Decodes an optional field; a value of the wrong type counts as absent.
///
/// For fields whose loss is harmless. A field that the receiver cannot do without stays strict, so that its error
/// names it.
///
/// # Errors
/// Only those of the JSON itself.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}
