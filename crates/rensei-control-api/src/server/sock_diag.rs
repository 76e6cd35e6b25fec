//! One TCP socket as the kernel knows it, asked for by its addresses: a look into a hash table, where `/proc/net/tcp`
//! is a walk over all of it.

use super::proc_net::{Socket, State};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SockDiagMessage, TCP_ESTABLISHED, TCP_LISTEN};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// More than an answer about one socket needs.
const ANSWER: usize = 4096;

/// The socket from `local` to `remote`.
///
/// # Errors
/// `NotFound` when there is none; else when the kernel does not tell.
pub(super) fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Socket> {
    let mut socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    // The kernel answers within the call that asks, so an answer that is not there yet never comes.
    socket.set_non_blocking(true)?;
    socket.send(&question(local, remote), 0)?;
    let mut answer = Vec::with_capacity(ANSWER);
    socket.recv(&mut answer, 0)?;
    read(&answer)
}

fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = InetRequest {
        family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            // Any.
            cookie: [0xff; 8],
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.header.length as usize];
    message.serialize(&mut bytes);
    bytes
}

fn read(answer: &[u8]) -> io::Result<Socket> {
    let message = NetlinkMessage::<SockDiagMessage>::deserialize(answer).map_err(io::Error::other)?;
    match message.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
            let (header, id) = (&found.header, &found.header.socket_id);
            Ok(Socket {
                local: address(id.source_address, id.source_port),
                remote: address(id.destination_address, id.destination_port),
                state: match header.state {
                    TCP_ESTABLISHED => State::Established,
                    TCP_LISTEN => State::Listening,
                    _ => State::Other,
                },
                uid: header.uid,
                inode: header.inode,
            })
        }
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::other("the kernel answered something else")),
    }
}

fn address(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}
