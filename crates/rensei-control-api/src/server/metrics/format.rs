//! The two text formats in which the numbers are served.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// That of Prometheus, which every scraper reads.
    Prometheus,
    /// Its standardised successor.
    OpenMetrics,
}

impl Format {
    /// What a scraper that sends these headers likes best. One that wants neither gets what everybody can read.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut older, mut newer) = (0.0_f64, 0.0_f64);
        for range in accepted.flat_map(|value| value.split(',')).filter_map(Range::parse) {
            if range.is_openmetrics() {
                newer = newer.max(range.weight);
            } else if range.is_prometheus() {
                older = older.max(range.weight);
            }
        }
        if newer > 0.0 && newer >= older { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// What a `Content-Type` says of it.
    pub(super) const fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        })
    }

    /// `text`, which is OpenMetrics, in this format.
    pub(super) fn write(self, text: String) -> String {
        match self {
            Self::Prometheus => as_prometheus(&text),
            Self::OpenMetrics => text,
        }
    }
}

/// One part of an `Accept` header.
#[derive(Debug)]
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    weight: f64,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self { media_type: parts.next()?, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "q" => range.weight = value.trim().parse().unwrap_or(0.0),
                "version" => range.version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        Some(range)
    }

    fn is_openmetrics(&self) -> bool {
        self.media_type.eq_ignore_ascii_case("application/openmetrics-text")
            && matches!(self.version, None | Some("1.0.0" | "0.0.1"))
    }

    fn is_prometheus(&self) -> bool {
        self.media_type.eq_ignore_ascii_case("text/plain") && matches!(self.version, None | Some("0.0.4"))
            || matches!(self.media_type, "text/*" | "*/*")
    }
}

/// OpenMetrics in the older format. There a family has the name of its samples, units are not declared, and nothing marks
/// the end; the samples are written alike.
fn as_prometheus(text: &str) -> String {
    let (mut older, mut help) = (String::with_capacity(text.len()), "");
    for line in text.lines() {
        if let Some((_name, rest)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help = rest;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            older.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with("# ") {
            older.push_str(line);
            older.push('\n');
        }
    }
    older
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_scraper_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
            q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            ("text/html, application/json", Format::Prometheus),
            (prometheus, Format::OpenMetrics),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            (r#"application/openmetrics-text; version="1.0.0""#, Format::OpenMetrics),
            ("application/openmetrics-text, text/plain", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.5", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=many", Format::Prometheus),
            ("application/openmetrics-text;version=9.0.0", Format::Prometheus),
            (
                "application/vnd.google.protobuf;proto=x;encoding=delimited, text/plain;version=0.0.4;q=0.3",
                Format::Prometheus,
            ),
            (";;,=;q=", Format::Prometheus),
        ] {
            let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(Format::wanted(&headers), format, "{accept}");
        }
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Prometheus);
    }

    #[test]
    fn families_of_the_older_format_have_the_names_of_their_samples() {
        let text = "# HELP a_b Some.\n# TYPE a_b info\na_b_info{v=\"1\"} 1\n# HELP c Ends.\n# TYPE c counter\n\
            c_total{x=\"# y\"} 2\n# HELP t_seconds T.\n# TYPE t_seconds gauge\n# UNIT t_seconds seconds\nt_seconds 3\n# EOF\n";
        let older = "# HELP a_b_info Some.\n# TYPE a_b_info gauge\na_b_info{v=\"1\"} 1\n# HELP c_total Ends.\n\
            # TYPE c_total counter\nc_total{x=\"# y\"} 2\n# HELP t_seconds T.\n# TYPE t_seconds gauge\nt_seconds 3\n";
        assert_eq!(Format::Prometheus.write(text.to_owned()), older);
        assert_eq!(Format::OpenMetrics.write(text.to_owned()), text);
    }
}
