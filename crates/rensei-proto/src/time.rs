//! Times on the wire.

/// Current time as the wire wants it: RFC 3339, UTC, whole seconds, `Z`.
#[must_use]
pub fn rfc3339_seconds(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Time with milliseconds, for records that order events: RFC 3339, UTC, `Z`.
#[must_use]
pub fn rfc3339_millis(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
