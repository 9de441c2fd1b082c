//! TLS: rustls over ring, from two PEM files.

use std::path::Path;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::ConfigError;

/// Reads certificate chain and key, and makes sure that they belong together.
///
/// Errors name the file and what is wrong with it.
pub fn load(cert: &Path, key: &Path) -> Result<ServerConfig, ConfigError> {
    let wrong = |path: &Path, what: &str, error: &dyn std::fmt::Display| {
        ConfigError(format!("{what} {}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(cert, "cannot read the certificate", &error))?;
    if chain.is_empty() {
        return Err(wrong(cert, "cannot read the certificate", &"the file holds none"));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong(key, "cannot read the private key", &error))?;
    let provider = rustls::crypto::ring::default_provider();
    ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError(format!("TLS: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong(key, "certificate and key do not fit together:", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> (String, String) {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_loads_and_everything_else_names_the_file() {
        let directory = tempfile::tempdir().expect("directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("writes");
            path
        };
        let ((cert, key), (_, other)) = (certificate(), certificate());
        let cert = write("cert.pem", &cert);
        let (key, other) = (write("key.pem", &key), write("other.pem", &other));
        let (empty, missing) = (write("empty.pem", ""), directory.path().join("missing.pem"));
        assert!(load(&cert, &key).is_ok());
        for (cert, key, named) in [
            (&missing, &key, "missing.pem"),
            (&empty, &key, "empty.pem"),
            (&cert, &missing, "missing.pem"),
            (&cert, &empty, "empty.pem"),
            (&cert, &other, "other.pem"),
        ] {
            let error = load(cert, key).expect_err("refused");
            assert!(error.0.contains(named), "{error}");
        }
    }
}
