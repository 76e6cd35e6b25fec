//! Headers of `GET /api/daemon/sessions/<id>/output`.

/// Bytes in the log when the answer began.
pub(crate) const OUTPUT_SIZE: &str = "x-output-size";
/// Position in the log of the first byte of the answer.
pub(crate) const OUTPUT_OFFSET: &str = "x-output-offset";
