//! The user behind a connection.

#[cfg(target_os = "linux")]
use super::proc_net::{self, Socket, State};
#[cfg(target_os = "linux")]
use super::sock_diag;
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Our end.
    local: SocketAddr,
    /// The peer's end.
    remote: SocketAddr,
    /// Found out when first needed, kept while the connection lives.
    seen: OnceLock<Seen>,
}

/// What the kernel says of the peer's socket.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Whether it is the daemon's user's, or root's.
    same_user: bool,
    /// Its inode; `None` where the system does not tell.
    inode: Option<u64>,
}

impl Peer {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local: canonical(local), remote: canonical(remote), seen: OnceLock::new() }
    }

    /// Whether the daemon's own user or root owns the other end. On systems that do not tell, everybody counts.
    ///
    /// # Errors
    /// When the owner cannot be found out, for example because the peer has closed its socket.
    pub(super) async fn is_same_user(&self) -> io::Result<bool> {
        self.seen().await.map(|seen| seen.same_user)
    }

    /// Inode of the other end, by which the process that holds it can be found. `None` when the system does not tell, or
    /// the peer has closed its socket.
    pub(super) async fn socket(&self) -> Option<u64> {
        self.seen().await.ok()?.inode
    }

    async fn seen(&self) -> io::Result<Seen> {
        if let Some(known) = self.seen.get() {
            return Ok(*known);
        }
        let found = owner(self.local, self.remote).await?;
        let same_user = found.is_none_or(|(uid, _)| uid == 0 || uid == rustix::process::geteuid().as_raw());
        Ok(*self.seen.get_or_init(|| Seen { same_user, inode: found.map(|(_, inode)| inode) }))
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// User id and inode of the peer's socket; `None` where the system does not tell.
///
/// A socket that was closed while its data is on the way shows as owned by root, so only established ones that a
/// process still holds count.
#[cfg(target_os = "linux")]
async fn owner(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<(u32, u64)>> {
    let held = move |socket: &Socket| {
        socket.state == State::Established && socket.inode != 0 && socket.local == remote && socket.remote == local
    };
    let found = match sock_diag::find(remote, local) {
        Ok(socket) => Some(socket).filter(held),
        // A sandbox may forbid the question, and a kernel that was built without it knows of no socket at all; the table is
        // there too, but all of it must be read.
        Err(_) => tokio::task::spawn_blocking(move || proc_net::find(held)).await.map_err(io::Error::other)??,
    };
    match found {
        Some(socket) => Ok(Some((socket.uid, u64::from(socket.inode)))),
        None => Err(io::Error::new(io::ErrorKind::NotConnected, "the peer's socket is not in the socket table")),
    }
}

#[cfg(not(target_os = "linux"))]
async fn owner(_local: SocketAddr, _remote: SocketAddr) -> io::Result<Option<(u32, u64)>> {
    Ok(None)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{IpAddr, TcpListener, TcpStream};

    #[tokio::test]
    async fn an_open_peer_is_known_and_a_closed_one_is_not() {
        for (address, from) in [("127.0.0.1:0", "127.0.0.1"), ("127.0.0.1:0", "::ffff:127.0.0.1"), ("[::1]:0", "::1")] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let from = from.parse::<IpAddr>().unwrap();
            let client = TcpStream::connect((from, listener.local_addr().unwrap().port())).unwrap();
            let (server, remote) = listener.accept().unwrap();
            let peer = || Peer::new(server.local_addr().unwrap(), remote);
            let known = peer();
            assert!(known.is_same_user().await.unwrap(), "{address} from {from}");
            drop(client);
            assert!(known.is_same_user().await.unwrap(), "kept while the connection lives");
            assert!(peer().is_same_user().await.is_err(), "an orphan must not count as root's");
        }
    }

    #[test]
    fn the_kernel_says_the_same_in_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let listed = proc_net::find(|socket| (socket.local, socket.remote) == (local, remote)).unwrap().unwrap();
        assert_eq!(sock_diag::find(local, remote).unwrap(), listed);
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!(sock_diag::find(local, nobody).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
