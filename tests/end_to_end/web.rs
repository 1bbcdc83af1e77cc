//! The key set and the discovery document, as those read them who speak no gRPC.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use tenantry_api::catalog::v1::GetJwksRequest;
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tonic::codegen::{Service, http};
use tonic::transport::Endpoint;

const JWKS: &str = "/.well-known/jwks.json";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// One connection, HTTP/1.1.
pub(crate) struct Http1(BufReader<TcpStream>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Http1 {
    pub(crate) async fn to(sandbox: &Sandbox) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(sandbox.addresses().catalog).await?)))
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &str) -> anyhow::Result<Answer> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: catalog.test\r\n{headers}\r\n");
        self.0.write_all(request.as_bytes()).await?;
        let line = self.line().await?;
        let status = line.split(' ').nth(1).context("a status")?.parse()?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.insert(name.to_owned(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.0.read_exact(&mut body).await?;
        Ok(Answer { status, headers, body })
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}

impl Answer {
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_verifies_with_what_http_1_1_tells() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let owner = Owner::of_new_company(&sandbox, "Mesh").await?;
    let mut http = Http1::to(&sandbox).await?;
    let discovery = http.ask("GET", DISCOVERY, "").await?;
    assert_eq!((discovery.status, discovery.headers["content-type"].as_str()), (200, "application/json"));
    let discovery = discovery.json()?;
    let issuer = format!("http://{}", sandbox.addresses().catalog);
    assert_eq!(discovery["issuer"], issuer.as_str());
    assert_eq!(discovery["jwks_uri"], format!("{issuer}{JWKS}"));
    assert_eq!(discovery["id_token_signing_alg_values_supported"][0], "ES256");

    let keys = http.ask("GET", JWKS, "").await?;
    assert_eq!((keys.status, keys.headers["cache-control"].as_str()), (200, "public, max-age=300"));
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    let token = owner.token().context("a token")?;
    let (signed, signature) = token.rsplit_once('.').context("parts")?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap())?)?;
    let key = keys.json()?;
    let key = key["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["kid"] == header["kid"]).cloned());
    let key = key.context("the key of the token")?;
    assert!(key.get("d").is_none(), "the private half stays here");
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap_or_default());
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    let verified = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?);
    assert!(verified.is_ok());
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_there_is_read_and_only_read() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let mut http = Http1::to(&sandbox).await?;
    let whole = http.ask("GET", JWKS, "").await?;
    let head = http.ask("HEAD", JWKS, "").await?;
    assert_eq!((head.status, &head.headers["etag"]), (200, &whole.headers["etag"]));
    assert_eq!(head.headers["content-length"], whole.body.len().to_string());
    let known = http.ask("GET", JWKS, &format!("if-none-match: {}\r\n", whole.headers["etag"])).await?;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let other = http.ask("GET", JWKS, "if-none-match: \"something-else\"\r\n").await?;
    assert_eq!((other.status, other.body), (200, whole.body));

    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = http.ask(method, JWKS, "").await?;
        assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
    }
    for path in ["/", "/.well-known/", "/.well-known/jwks.json/", "/.well-known/../.well-known/jwks", "/x"] {
        let refused = http.ask("GET", path, "").await?;
        assert_eq!((refused.status, refused.headers["cache-control"].as_str()), (404, "no-store"), "{path}");
    }
    let rpc = "/tenantry.catalog.v1.KeyService/GetJwks";
    assert_eq!(http.ask("GET", rpc, "").await?.headers["allow"], "POST");
    assert_eq!(http.ask("POST", rpc, "content-type: application/json\r\n").await?.status, 415);
    assert_eq!(http.ask("GET", &format!("{JWKS}?a=b"), "").await?.status, 200);
    // A head that does not end is refused; whether the refusal is read before the connection is gone is luck.
    if let Ok(long) = http.ask("GET", JWKS, &format!("x: {}\r\n", "x".repeat(1_000_000))).await {
        assert_ne!(long.status, 200);
    }
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_serves_the_document_and_grpc_on_one_connection() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let mut channel = Endpoint::from_shared(format!("http://{}", sandbox.addresses().catalog))?.connect().await?;
    let by_grpc = KeyServiceClient::new(channel.clone()).get_jwks(GetJwksRequest {}).await?.into_inner();
    let request = http::Request::builder().uri(JWKS).body(tonic::body::Body::empty())?;
    std::future::poll_fn(|context| channel.poll_ready(context)).await?;
    let answer = channel.call(request).await?;
    assert_eq!(answer.status(), 200);
    let (headers, mut body) = (answer.headers().clone(), answer.into_body());
    let mut bytes = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| tonic::codegen::Body::poll_frame(std::pin::Pin::new(&mut body), context)).await
    {
        bytes.extend(frame?.into_data().unwrap_or_default());
    }
    assert_eq!(headers["content-length"], bytes.len().to_string().as_str());
    let document: Value = serde_json::from_slice(&bytes)?;
    let kids: Vec<_> = by_grpc.keys.iter().map(|key| key.kid.as_str()).collect();
    let listed: Vec<_> = document["keys"].as_array().context("keys")?.iter().map(|key| key["kid"].as_str()).collect();
    assert_eq!(listed, kids.into_iter().map(Some).collect::<Vec<_>>());
    sandbox.stop().await
}
