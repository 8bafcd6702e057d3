//! TLS with a certificate of one's own, for clients that are tested or measured over it.

use std::{fmt, io, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, crypto,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// A certificate chain and its key.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads both as PEM.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else, or a key that is not the certificate's.
    pub fn read(certificates: &Path, key: &Path) -> io::Result<Self> {
        let of = |path: &Path, error: &dyn fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificates)
            .and_then(Iterator::collect)
            .map_err(|error| of(certificates, &error))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| of(key, &error))?;
        // HTTP/1.1 is what the server speaks, whether or not a client asks.
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| of(certificates, &error))?;
        Ok(Self(Arc::new(config).into()))
    }
}
