//! How this product recognises servers: one configuration of TLS for everything that it connects to.

mod client;

pub use client::client_config;
