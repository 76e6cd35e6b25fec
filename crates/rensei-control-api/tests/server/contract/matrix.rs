//! The rows.

/// Row, method and path, as clients of the predecessor call them. `<x>` is a variable.
pub(crate) const MATRIX: &[(u32, &str, &str)] = &[
    (1, "GET", "/api/daemon/status"),
    (2, "GET", "/api/daemon/stats"),
    (3, "POST", "/api/daemon/pause"),
    (4, "POST", "/api/daemon/resume"),
    (5, "POST", "/api/daemon/stop"),
    (6, "POST", "/api/daemon/drain"),
    (7, "POST", "/api/daemon/update"),
    (8, "POST", "/api/daemon/capacity"),
    (9, "GET", "/api/daemon/pool/stats"),
    (10, "POST", "/api/daemon/pool/evict"),
    (11, "GET", "/api/daemon/sessions"),
    (12, "POST", "/api/daemon/sessions"),
    (13, "GET", "/api/daemon/sessions/<id>"),
    (14, "GET", "/api/daemon/heartbeat"),
    (15, "GET", "/api/daemon/doctor"),
    (16, "GET", "/api/daemon/providers"),
    (17, "GET", "/api/daemon/providers/<id>"),
    (18, "GET", "/api/daemon/routing/config"),
    (19, "GET", "/api/daemon/routing/explain/<sessionId>"),
    (20, "GET", "/api/daemon/kits"),
    (21, "GET", "/api/daemon/kits/<kit>"),
    (22, "GET", "/api/daemon/kits/<kit>/verify-signature"),
    (23, "POST", "/api/daemon/kits/<kit>/install"),
    (24, "POST", "/api/daemon/kits/<kit>/enable"),
    (25, "POST", "/api/daemon/kits/<kit>/disable"),
    (26, "GET", "/api/daemon/kit-sources"),
    (27, "POST", "/api/daemon/kit-sources/<name>/enable"),
    (28, "POST", "/api/daemon/kit-sources/<name>/disable"),
    (29, "GET", "/api/daemon/workareas"),
    (30, "GET", "/api/daemon/workareas/<id>"),
    (31, "POST", "/api/daemon/workareas/<id>/restore"),
    (32, "GET", "/api/daemon/workareas/<a>/diff/<b>"),
    (33, "GET", "/api/daemon/capabilities"),
    (34, "GET", "/healthz"),
];

/// What this host serves beyond that.
pub(crate) const OWN: &[(u32, &str, &str)] = &[
    (0, "POST", "/api/daemon/archives/prune"),
    (0, "GET", "/api/daemon/events"),
    (0, "GET", "/api/daemon/kit-settings"),
    (0, "GET", "/api/daemon/openapi.json"),
    (0, "POST", "/api/daemon/sessions/<id>/archive"),
    (0, "GET", "/api/daemon/sessions/<id>/output"),
    (0, "GET", "/api/daemon/sessions/<id>/record"),
    (0, "POST", "/api/daemon/sessions/<id>/stop"),
    (0, "POST", "/api/daemon/sessions/<id>/workarea"),
];

/// A path as the document has it, without the marks of variables. What follows the id of a kit is part of a variable
/// there: ids may contain slashes.
pub(super) fn in_the_document(path: &str) -> String {
    let path = path.replace(['<', '>'], "");
    match path.find("/kits/kit/") {
        Some(at) => path[..at + "/kits/kit".len()].to_owned(),
        None => path,
    }
}
