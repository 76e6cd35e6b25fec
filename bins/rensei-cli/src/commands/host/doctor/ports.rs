//! The ports that a daemon listens on: whether one that starts now would get them, and who has them otherwise.

use super::check::Check;
use super::daemon::Found;
use rensei_control_api::{BindError, ControlListener};
use rensei_proto::control::Status;

/// Loopback, where the metrics are served.
const LOOPBACK: &str = "127.0.0.1";
/// Key of the metrics' port.
const METRICS: &str = "observability.metricsPort";

/// All checks of ports. `url` is the control API's, `metrics` the port of the configuration.
pub(super) fn checks(url: &str, found: &Found, metrics: Option<u16>) -> Vec<Check> {
    let control = match found {
        Found::Daemon(_) => None,
        Found::Nobody | Found::Trouble(_) => address(url).map(|(host, port)| control_port(host, port)),
    };
    let metrics = metrics.filter(|port| *port != 0 && !waits_for_restart(found.status()));
    let metrics = metrics.map(|port| metrics_port(port, found.status()));
    control.into_iter().chain(metrics).collect()
}

/// A port that the daemon has not been told of yet is the business of the next start.
fn waits_for_restart(status: Option<&Status>) -> bool {
    status.is_some_and(|status| status.restart_needed.iter().any(|key| key == METRICS))
}

/// Host and port of a base URL.
fn address(url: &str) -> Option<(&str, u16)> {
    let (host, port) = url.strip_prefix("http://")?.trim_end_matches('/').rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// Whether a daemon that starts now could listen.
fn control_port(host: &str, port: u16) -> Check {
    let name = "control port";
    match ControlListener::probe(host, port) {
        Ok(free) => Check::ok(name, format!("{free} is free")),
        Err(error @ BindError::InUse { pid: Some(pid), .. }) => {
            let fix = format!("see what it is: `ps -p {pid}`; or use another port: `rensei host run --port <port>`");
            Check::error(name, error.to_string(), fix)
        }
        Err(error) => {
            Check::error(name, rensei_proto::error_chain(&error), "use another port: `rensei host run --port <port>`")
        }
    }
}

/// Whether the metrics are served, or could be by a daemon that starts now.
fn metrics_port(port: u16, daemon: Option<&Status>) -> Check {
    let name = "metrics port";
    let other = format!("use another port: `rensei host set {METRICS} <port>`, then start the daemon again");
    match (ControlListener::probe(LOOPBACK, port), daemon) {
        (Ok(free), None) => Check::ok(name, format!("{free} is free")),
        (Ok(free), Some(_)) => {
            let detail = format!("nothing listens on {free} yet, so nobody sees the metrics");
            Check::warning(name, detail, "the daemon keeps trying; see why it fails: `rensei host logs --level error`")
        }
        (Err(BindError::InUse { address, pid }), Some(status)) if may_be(pid, status.pid) => {
            Check::ok(name, format!("served on {address}"))
        }
        (Err(BindError::InUse { address, pid: Some(pid) }), _) => Check::error(
            name,
            format!("{address} is already in use by process {pid}"),
            format!("see what it is: `ps -p {pid}`; the daemon takes the port when it is free; or {other}"),
        ),
        (Err(error), _) => Check::error(name, rensei_proto::error_chain(&error), other),
    }
}

/// Whether the owner of a port may be the daemon. Linux names every owner that is this user's.
fn may_be(owner: Option<u32>, daemon: u32) -> bool {
    owner.map_or(cfg!(not(target_os = "linux")), |pid| pid == daemon)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        assert_eq!(address("http://127.0.0.1:7734"), Some(("127.0.0.1", 7734)));
        assert_eq!(address("http://[::1]:1/"), Some(("[::1]", 1)));
        assert_eq!(address("http://localhost"), None);
    }

    #[test]
    fn a_port_is_free_or_has_an_owner() {
        let taken = ControlListener::bind(LOOPBACK, 0).unwrap();
        let port = taken.local_addr().port();
        let me = format!("by process {}", std::process::id());
        for check in [control_port(LOOPBACK, port), metrics_port(port, None)] {
            assert_eq!(check.status, Verdict::Error, "{check:?}");
            let names_it = cfg!(not(target_os = "linux")) || check.detail.ends_with(&me);
            assert!(names_it && check.fix.unwrap().contains("rensei host "), "{}", check.detail);
        }
        drop(taken);
        for check in [control_port(LOOPBACK, port), metrics_port(port, None)] {
            assert_eq!(check, Check::ok(check.name, format!("127.0.0.1:{port} is free")));
        }
        assert_eq!(control_port("192.0.2.1", 1).status, Verdict::Error);
    }

    #[test]
    fn metrics_of_a_running_daemon_are_its_own() {
        let mut status: Status = serde_json::from_value(serde_json::json!({
            "status": "ready", "version": "1", "machineId": "m", "pid": 1, "uptimeSeconds": 0, "activeSessions": 0,
            "maxSessions": 1, "projectsAllowed": 0, "timestamp": "t"
        }))
        .unwrap();
        let taken = ControlListener::bind(LOOPBACK, 0).unwrap();
        let port = taken.local_addr().port();
        if cfg!(target_os = "linux") {
            assert_eq!(metrics_port(port, Some(&status)).status, Verdict::Error, "process 1 has it not");
        }
        assert_eq!(may_be(None, status.pid), cfg!(not(target_os = "linux")), "an owner that another user hides");
        status.pid = std::process::id();
        assert_eq!(metrics_port(port, Some(&status)).status, Verdict::Ok);
        drop(taken);
        assert_eq!(metrics_port(port, Some(&status)).status, Verdict::Warning);
        status.restart_needed.push(METRICS.to_owned());
        assert_eq!(checks("http://127.0.0.1:1", &Found::Daemon(Box::new(status)), Some(port)), []);
    }
}
