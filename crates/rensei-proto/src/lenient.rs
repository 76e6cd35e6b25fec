//! Decoding helpers for foreign JSON.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use serde_json::value::RawValue;

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

/// Like [`or_default`], and a value that no decoder would take (nested too deeply, half a surrogate) counts as absent
/// too, so that it cannot cost the fields beside it. Only for JSON.
///
/// # Errors
/// Only when the text is not JSON at all.
pub fn raw_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// The elements of an array that can be decoded; anything but an array counts as none. Only for JSON.
///
/// # Errors
/// Only when the text is not JSON at all.
pub fn each<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let raws: Vec<Box<RawValue>> = raw_or_default(deserializer)?;
    Ok(raws.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect())
}
