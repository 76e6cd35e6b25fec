//! Taking the port.

use super::proc_net::{self, State};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Longest wait for somebody who listens on this machine.
const PROBE: Duration = Duration::from_millis(500);

/// A socket that listens on loopback, not serving yet: connections wait until it does.
#[derive(Debug)]
pub struct ControlListener {
    pub(super) socket: TcpListener,
    address: SocketAddr,
}

/// Why the control API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is, or may be, reachable from other machines.
    #[error("the control API cannot listen on {host:?}: it is not a loopback address")]
    NotLoopback {
        /// As given.
        host: String,
    },
    /// Somebody else listens there.
    #[error("{address} is already in use{}", owned_by(*pid))]
    InUse {
        /// Address and port.
        address: SocketAddr,
        /// Process that listens there, if it can be found out.
        pid: Option<u32>,
    },
    /// The system refuses for another reason.
    #[error("failed to listen on {address}")]
    Io {
        /// Address and port.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

fn owned_by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

impl BindError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::NotLoopback { .. } | Self::Io { .. } => false,
        }
    }

    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLoopback { .. } => Some("use `--host 127.0.0.1` or `--host ::1`".to_owned()),
            Self::InUse { .. } => {
                Some("stop the other process, or choose another port with `--port <port>` (0: any free one)".to_owned())
            }
            Self::Io { .. } => Some("choose another port with `--port <port>`".to_owned()),
        }
    }
}

impl ControlListener {
    /// Listens on `host` (`localhost` or a loopback address) and `port`; 0 takes any free port.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(host: &str, port: u16) -> Result<Self, BindError> {
        let ip = loopback(host).ok_or_else(|| BindError::NotLoopback { host: host.to_owned() })?;
        let wanted = SocketAddr::new(ip, port);
        listen(wanted).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address: wanted, pid: owner(wanted) },
            _ => BindError::Io { address: wanted, source },
        })
    }

    /// Whether [`bind`](Self::bind) would find the port free, without taking it from whoever is about to: only connects
    /// to it. The answer is the address.
    ///
    /// # Errors
    /// [`BindError::NotLoopback`] and [`BindError::InUse`]. What else can go wrong only taking it shows.
    pub fn probe(host: &str, port: u16) -> Result<SocketAddr, BindError> {
        let ip = loopback(host).ok_or_else(|| BindError::NotLoopback { host: host.to_owned() })?;
        let address = SocketAddr::new(ip, port);
        if is_listened_on(address) { Err(BindError::InUse { address, pid: owner(address) }) } else { Ok(address) }
    }

    /// Address that it listens on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Base URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn listen(wanted: SocketAddr) -> io::Result<ControlListener> {
    let socket = TcpListener::bind(wanted)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok(ControlListener { socket, address })
}

/// Whether somebody takes, or would take, connections to `address`.
fn is_listened_on(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, PROBE) {
        // A connection without a listener may meet itself.
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
        // Somebody who does not get to it.
        Err(error) => matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock),
    }
}

/// The loopback address that `host` names. Nothing is resolved: a name could point anywhere.
fn loopback(host: &str) -> Option<IpAddr> {
    let host = host.trim();
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()).filter(IpAddr::is_loopback)
}

/// Process that listens on `address`, or on the same port of every address.
fn owner(address: SocketAddr) -> Option<u32> {
    let covers =
        |local: SocketAddr| local == address || (local.port() == address.port() && local.ip().is_unspecified());
    let socket = proc_net::find(|socket| socket.state == State::Listening && covers(socket.local)).ok()??;
    let link = format!("socket:[{}]", socket.inode);
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| holds(Path::new(&format!("/proc/{pid}/fd")), &link))
}

/// Whether a descriptor in `directory` is `link`.
fn holds(directory: &Path, link: &str) -> bool {
    let Ok(descriptors) = std::fs::read_dir(directory) else { return false };
    descriptors.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback() {
        for good in ["127.0.0.1", "localhost", "LOCALHOST", "127.3.2.1", " 127.0.0.1 "] {
            let listener = ControlListener::bind(good, 0).unwrap();
            assert!(listener.local_addr().ip().is_loopback() && listener.local_addr().port() != 0, "{good}");
        }
        for bad in ["", "0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0.1:80", "127.1"] {
            let error = ControlListener::bind(bad, 0).unwrap_err();
            assert!(matches!(error, BindError::NotLoopback { .. }) && error.hint().is_some(), "{bad}");
        }
        assert_eq!(loopback("[::1]"), loopback("::1"));
        assert_eq!(loopback("::ffff:127.0.0.1"), loopback("127.0.0.1"));
    }

    #[test]
    fn a_taken_port_names_its_owner() {
        let first = ControlListener::bind("127.0.0.1", 0).unwrap();
        let error = ControlListener::bind("127.0.0.1", first.local_addr().port()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&first.local_addr().to_string()), "{text}");
        assert!(error.hint().unwrap().contains("--port"));
        if cfg!(target_os = "linux") {
            assert!(text.ends_with(&format!("by process {}", std::process::id())), "{text}");
        }
    }

    #[test]
    fn a_look_at_a_port_leaves_it_to_others() {
        let free = ControlListener::bind("127.0.0.1", 0).unwrap().local_addr();
        assert_eq!(ControlListener::probe("localhost", free.port()).unwrap(), free);
        let held = ControlListener::bind("127.0.0.1", free.port()).unwrap();
        let error = ControlListener::probe("127.0.0.1", free.port()).unwrap_err();
        let bound_too = ControlListener::bind("127.0.0.1", free.port()).unwrap_err();
        assert_eq!(error.to_string(), bound_too.to_string(), "a look says what taking it would");
        drop(held);
        assert!(ControlListener::probe("10.0.0.1", 1).is_err());
    }
}
