//! A server that speaks TLS, and who vouches for it.

use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Certificate of the authority that vouches for the server, as PEM. Nobody trusts it but tests.
pub const AUTHORITY: &[u8] = include_bytes!("tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key");

/// The server's side of TLS, for a server on 127.0.0.1.
#[must_use]
pub fn tls_acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_slice(KEY).unwrap()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves over TLS what `origin` serves without; host and port come back.
pub async fn serve_tls(origin: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (origin, acceptor) = (origin.clone(), tls_acceptor());
            tokio::spawn(async move {
                // Clients that trust nobody hang up.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(origin).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut plain).await);
            });
        }
    });
    address
}
