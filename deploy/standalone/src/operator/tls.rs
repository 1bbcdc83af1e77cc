//! What an operator's commands speak TLS with.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tenantry_rpc::tls::{ClientTls, ClientTlsSettings, PairFiles, TlsError, TlsIdentity};

/// For `https://` addresses.
#[derive(Args, Clone)]
#[command(next_help_heading = "TLS")]
pub struct TlsArguments {
    /// The authorities that the services are believed by, in PEM. Without it: this system's own.
    #[arg(long, env = "TENANTRY_TLS_CA_FILE", global = true)]
    pub tls_ca_file: Option<PathBuf>,

    /// The certificate to show to the services, in PEM, where they ask for one.
    #[arg(long, env = "TENANTRY_TLS_CLIENT_CERT_FILE", global = true, requires = "tls_client_key_file")]
    pub tls_client_cert_file: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "TENANTRY_TLS_CLIENT_KEY_FILE", global = true, requires = "tls_client_cert_file")]
    pub tls_client_key_file: Option<PathBuf>,

    /// A name in certificates that is a service, such as catalog=spiffe://example.org/ns/tenantry/sa/catalog. May be
    /// repeated.
    #[arg(
        long = "tls-service-identity",
        env = "TENANTRY_TLS_SERVICE_IDENTITIES",
        value_delimiter = ',',
        global = true
    )]
    pub tls_service_identities: Vec<TlsIdentity>,
}

impl TlsArguments {
    pub(crate) fn client(self) -> Result<Arc<ClientTls>, TlsError> {
        let pair = self.tls_client_cert_file.zip(self.tls_client_key_file);
        ClientTls::of_command(ClientTlsSettings {
            ca_file: self.tls_ca_file,
            pair: pair.map(|(cert, key)| PairFiles { cert, key }),
            identities: self.tls_service_identities,
        })
    }
}
