//! Decoding helpers for foreign JSON.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use serde_json::{Error, Value};

/// Decodes a document in which a field that is `null` is the same as none, at any depth: many programs write it for a
/// text, a list or a map that is not there. An element of a list is no field, and stays what it is; so
/// does the document itself.
///
/// # Errors
/// When the document cannot be decoded without its nulls either.
pub fn from_slice<T: DeserializeOwned>(document: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(document).or_else(|error| decode_without_nulls(serde_json::from_slice(document), error))
}

/// The same for text.
///
/// # Errors
/// As [`from_slice`].
pub fn from_str<T: DeserializeOwned>(document: &str) -> Result<T, Error> {
    serde_json::from_str(document).or_else(|error| decode_without_nulls(serde_json::from_str(document), error))
}

/// Fields whose content is nobody's business here, so that a `null` in it is one.
pub const OPAQUE: [&str; 7] =
    ["providerConfig", "stageLifecycle", "inboxMessages", "params", "toolInput", "session", "work"];

/// A second try, which costs nobody anything whose document could be decoded as it is.
fn decode_without_nulls<T: DeserializeOwned>(document: Result<Value, Error>, first: Error) -> Result<T, Error> {
    let Ok(mut document) = document else { return Err(first) };
    if !remove_nulls(&mut document) {
        return Err(first);
    }
    // The error of the first try knows the place, unless it is about a null that does not matter.
    serde_json::from_value(document).map_err(|second| if is_about_null(&first) { second } else { first })
}

/// What a decoder says of a `null`: where it expects a name out of a list, that there is no value at all.
fn is_about_null(error: &Error) -> bool {
    error.is_syntax() || error.to_string().starts_with("invalid type: null")
}

/// Whether there were any.
fn remove_nulls(value: &mut Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter_mut().fold(false, |found, each| remove_nulls(each) | found),
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|_name, value| !value.is_null());
            let found = fields.len() < before;
            let known = fields.iter_mut().filter(|(name, _value)| !OPAQUE.contains(&name.as_str()));
            known.fold(found, |found, (_name, each)| remove_nulls(each) | found)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

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
    Ok(T::deserialize(&value).or_else(|error| decode_without_nulls(Ok(value), error)).unwrap_or_default())
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
    Ok(from_str(raw.get()).unwrap_or_default())
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
    Ok(raws.iter().filter_map(|raw| from_str(raw.get()).ok()).collect())
}
