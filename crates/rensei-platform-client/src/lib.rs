//! Typed client of the platform API, worker side ([`PlatformClient`]) and operator side ([`OperatorClient`]).
//!
//! Both are cheap to clone and share one connection pool per clone family. Certificates are loaded at the first TLS
//! handshake, so a client of an `http://` control plane never touches them. Nothing is retried here: the callers own
//! the policy and ask the error ([`ClientError::is_retryable`], [`ClientError::retry_after`]).
//!
//! An answer is a success when its status is 2xx. Redirects are never followed, so that a bearer cannot leave the host
//! it was meant for; they come back as an error that names where they point. Bodies are bounded by [`MAX_BODY`].

mod base_url;
mod body;
mod error;
mod http;
mod operation;
mod operator;
mod options;
mod retry_after;
mod worker;

pub use body::MAX_BODY;
pub use error::{AuthFailure, ClientError};
pub use http::Timeouts;
pub use operation::Operation;
pub use operator::{ListQuery, OperatorClient};
pub use options::ClientOptions;
pub use worker::PlatformClient;
