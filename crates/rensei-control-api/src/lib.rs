//! The local control API of a host: router and guard (feature server), typed client (feature client)
