//! An endpoint at a public address, as far as the wallet can tell: it goes there through a proxy, as behind a company's
//! wall, and the proxy leads it to a chain on this machine, by TLS with a certificate that the wallet's machine trusts.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// An address of the public internet that nothing here ever reaches.
pub(crate) const ADDRESS: &str = "93.184.215.14";

/// The proxy, its end of the TLS and the certificate's file.
pub(crate) struct Public {
    _runtime: tokio::runtime::Runtime,
    certificate: tempfile::NamedTempFile,
    proxy: SocketAddr,
}

impl Public {
    /// Serves the HTTP server at `behind` (`host:port`) as `https://ADDRESS/`.
    pub(crate) fn serving(behind: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([ADDRESS.to_owned()]).expect("made");
        let mut certificate = tempfile::NamedTempFile::new().expect("a file");
        certificate.write_all(cert.pem().as_bytes()).expect("written");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate");
        let tls = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let proxy = listener.local_addr().expect("bound");
        let behind = behind.to_owned();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that hangs up is no error.
                let (tls, behind) = (tls.clone(), behind.clone());
                tokio::spawn(async move { lead(stream, tls, &behind).await.unwrap_or_default() });
            }
        });
        Self { _runtime: runtime, certificate, proxy }
    }

    /// What a daemon needs to come here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let proxy = format!("http://{}", self.proxy);
        vec![("HTTPS_PROXY", proxy.into()), ("SSL_CERT_FILE", self.certificate.path().into())]
    }
}

/// One `CONNECT` to the address (any other place is refused), then TLS, then whatever is said.
async fn lead(stream: TcpStream, tls: TlsAcceptor, behind: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    stream.read_line(&mut first).await?;
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    if first != format!("CONNECT {ADDRESS}:443 HTTP/1.1\r\n") {
        return stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut inside = tls.accept(stream).await?;
    let mut server = TcpStream::connect(behind).await?;
    copy_bidirectional(&mut inside, &mut server).await.map(|_| ())
}
