//! Sizes for people.

/// Bytes in the largest unit that leaves a whole number before the point.
pub(super) fn shown(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = (usize::try_from(bytes.ilog2()).unwrap_or(0) / 10).min(UNITS.len());
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let value = bytes as f64 / 1024_f64.powi(i32::try_from(step).unwrap_or(1));
    format!("{value:.1} {}", UNITS[step - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(shown(bytes), text);
        }
        assert!(shown(u64::MAX).ends_with(" PiB"));
    }
}
