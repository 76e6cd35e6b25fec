//! The kernel's table of TCP sockets.

use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: State,
    pub(super) uid: u32,
    /// 0: no process holds it any more, and then `uid` says nothing.
    pub(super) inode: u32,
}

/// State of a socket, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Established,
    Listening,
    Other,
}

/// The first socket that `wanted` accepts. IPv4 addresses in IPv6 sockets are seen as IPv4.
///
/// # Errors
/// When the table cannot be read, as on systems without `/proc`.
pub(super) fn find(wanted: impl Fn(&Socket) -> bool) -> io::Result<Option<Socket>> {
    let mut found = search("/proc/net/tcp", &wanted)?;
    if found.is_none() {
        // Absent when the machine has no IPv6.
        found = search("/proc/net/tcp6", &wanted).or_else(ignore_missing)?;
    }
    Ok(found)
}

fn ignore_missing(error: io::Error) -> io::Result<Option<Socket>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
}

fn search(path: &str, wanted: &impl Fn(&Socket) -> bool) -> io::Result<Option<Socket>> {
    let table = BufReader::with_capacity(64 * 1024, std::fs::File::open(path)?);
    for line in table.lines() {
        if let Some(socket) = parse(&line?)
            && wanted(&socket)
        {
            return Ok(Some(socket));
        }
    }
    Ok(None)
}

/// Reads `sl local remote state queues timer retransmits uid timeout inode …`.
fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = match fields.next()? {
        "01" => State::Established,
        "0A" => State::Listening,
        _ => State::Other,
    };
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Socket { local, remote, state, uid, inode })
}

/// Reads `0100007F:1E36`: 32-bit words of the address in memory order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = match words.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(words)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, slot) in octets.chunks_exact_mut(4).enumerate() {
                slot.copy_from_slice(&word(words.get(index * 8..index * 8 + 8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn word(hex: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(hex, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_tables() {
        let line = "   1: 0100007F:1E36 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1";
        let socket = parse(line).unwrap();
        assert_eq!(socket.local, "127.0.0.1:7734".parse().unwrap());
        assert_eq!(socket.remote, "127.0.0.1:50000".parse().unwrap());
        assert_eq!((socket.state, socket.uid, socket.inode), (State::Established, 1000, 4242));

        let mapped =
            "0: 0000000000000000FFFF00000100007F:0050 00000000000000000000000001000000:0051 0A 0:0 0:0 0 7 0 9";
        let socket = parse(mapped).unwrap();
        assert_eq!(socket.local, "127.0.0.1:80".parse().unwrap());
        assert_eq!(socket.remote, "[::1]:81".parse().unwrap());
        assert_eq!((socket.state, socket.uid), (State::Listening, 7));
    }

    #[test]
    fn headings_and_garbage_are_no_sockets() {
        for line in [
            "",
            "  sl  local_address rem_address   st tx_queue",
            "0: 0100007F 0100007F:1 01",
            "0: ü:1 x:2 01 a b c d e f",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
