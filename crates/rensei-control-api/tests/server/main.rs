//! The control API of a real daemon, spoken to byte by byte.

#![cfg(all(feature = "client", feature = "server"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod apart;
mod contract;
mod events;
mod fixture;
mod guard;
mod kits;
mod lifetime;
mod metrics;
mod output;
mod routes;
mod routing;
mod update;
mod workareas;
