//! The local control API of a host, on loopback: the calls are listed in `docs/api/control.json`.
//!
//! - Feature `client`: `ControlClient`, cheap to make and without TLS or DNS.
//! - Feature `server`: `ControlListener`, which serves a daemon's handle behind a guard.
//!
//! # Adding a route
//!
//! 1. Wire types: in `rensei_proto::control`, with `#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]`.
//! 2. A topic is a file `server/<topic>.rs` with `pub(super) fn routes() -> ApiRouter<Api>`; `server/routes.rs` merges it.
//! 3. A row is `.api_route("/api/daemon/x/{id}", get_with(handler, says("clientMethod", "topic", "One sentence.")))`.
//! 4. A handler takes `State(daemon): State<DaemonHandle>`, `PathOf`, `QueryOf`, `Body` or `OptionalBody` and gives
//!    `Result<Answer<T>, Refusal>` (`Answer<T, 202>` for another status). Router, 405 with `Allow`, and the document with
//!    its schemas follow from that signature; an answer that is not JSON is described by `raw_response`.
//! 5. Errors become a `Refusal` in `server/refuse.rs` (`impl From`), so that a handler says `?`. Work that must survive its
//!    client's hanging up runs in `reply::finish`.
//! 6. `RENSEI_UPDATE_DOCS=1 cargo nextest run -p rensei-control-api --all-features control_api_document` writes the document.
//! 7. The client's method, of the operation's name, goes into `client/<topic>.rs`.

#[cfg(feature = "client")]
mod client;
#[cfg(any(feature = "client", feature = "server"))]
mod headers;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "client")]
pub use client::{ControlClient, ControlError, EventStream, OutputQuery, OutputStream, StatsQuery, Whereabouts};
#[cfg(feature = "server")]
pub use server::{BindError, ControlListener};
