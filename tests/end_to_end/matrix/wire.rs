//! Calls by descriptor. No generated type is named, so a new RPC needs a row and no code.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;
use tenantry_api::access::{AccessRule, AccessRules, descriptor_pool};
use tenantry_rpc::client::ServiceChannel;
use tenantry_testkit::sandbox::Sandbox;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// A stream that is open and silent for so long lets its caller in.
const QUIET: Duration = Duration::from_millis(500);

/// An RPC as the descriptors tell of it.
pub(crate) struct Rpc {
    /// `tenantry.crm.v1.PersonService/GetPerson`.
    pub(crate) name: String,
    /// The service that serves it: `crm`.
    pub(crate) server: String,
    pub(crate) rule: AccessRule,
    pub(crate) method: MethodDescriptor,
}

/// Whether one of our services serves it; lifecycle hooks are other people's.
fn is_served(service: &str) -> bool {
    service.starts_with("tenantry.") && !service.starts_with("tenantry.lifecycle.")
}

/// Every RPC of ours, in the order of the descriptors.
pub(crate) fn rpcs() -> anyhow::Result<Vec<Rpc>> {
    let mut found = Vec::new();
    let services: Vec<_> = descriptor_pool()?.services().filter(|service| is_served(service.full_name())).collect();
    let rules = AccessRules::of_services(services.iter().map(|service| service.full_name()))?;
    for service in services {
        let server = service.full_name().split('.').nth(1).unwrap_or_default().to_owned();
        for method in service.methods() {
            let name = format!("{}/{}", service.full_name(), method.name());
            let rule = rules.get(&format!("/{name}")).with_context(|| format!("{name} has no rule"))?.clone();
            found.push(Rpc { name, server: server.clone(), rule, method });
        }
    }
    Ok(found)
}

impl Rpc {
    /// The request with this body, encoded.
    pub(crate) fn encode(&self, body: Value) -> anyhow::Result<Vec<u8>> {
        let message = DynamicMessage::deserialize(self.method.input(), body)
            .with_context(|| format!("the body of {} is not its request", self.name))?;
        Ok(message.encode_to_vec())
    }
}

/// Channels to the services of a sandbox.
pub(crate) struct Wire {
    channels: HashMap<&'static str, ServiceChannel>,
    rpcs: HashMap<String, Rpc>,
}

impl Wire {
    pub(crate) fn to(sandbox: &Sandbox) -> anyhow::Result<Self> {
        let mut channels = HashMap::new();
        for server in super::SERVERS {
            channels.insert(server, sandbox.channel(server)?);
        }
        Ok(Self { channels, rpcs: rpcs()?.into_iter().map(|rpc| (rpc.name.clone(), rpc)).collect() })
    }

    /// One call that has to go well.
    pub(crate) async fn ask(&self, rpc: &str, token: Option<&str>, body: Value) -> anyhow::Result<Value> {
        let known = self.rpcs.get(rpc).with_context(|| format!("there is no {rpc}"))?;
        let header = token.map(bearer);
        let mut answers =
            self.call(known, header.as_deref(), known.encode(body)?).await.with_context(|| rpc.to_owned())?;
        answers.pop().with_context(|| format!("{rpc} answered nothing"))
    }

    /// One call with this `authorization` header: every message of the answer, of a stream the first one.
    pub(crate) async fn call(&self, rpc: &Rpc, header: Option<&str>, body: Vec<u8>) -> Result<Vec<Value>, Status> {
        let channel = self.channels.get(rpc.server.as_str());
        let channel = channel.ok_or_else(|| Status::internal(format!("{} is served by nobody here", rpc.name)))?;
        let mut request = Request::new(tokio_stream::once(body));
        request.set_timeout(DEADLINE);
        if let Some(header) = header {
            let value = header.parse().map_err(|_| Status::internal("no header can hold this token"))?;
            request.metadata_mut().insert("authorization", value);
        }
        let path: PathAndQuery = format!("/{}", rpc.name).parse().map_err(|_| Status::internal("no path"))?;
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| Status::internal(error.to_string()))?;
        let mut stream = grpc.streaming(request, path, Bytes).await?.into_inner();

        let mut answers = Vec::new();
        if rpc.method.is_server_streaming() {
            if let Ok(first) = tokio::time::timeout(QUIET, stream.message()).await {
                answers.extend(first?);
            }
        } else {
            // To the end, since a refusal may come after a message.
            while let Some(message) = stream.message().await? {
                answers.push(message);
            }
        }
        answers
            .iter()
            .map(|bytes| json(rpc, bytes))
            .collect::<anyhow::Result<_>>()
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// The value of the header for a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn json(rpc: &Rpc, bytes: &[u8]) -> anyhow::Result<Value> {
    let message = DynamicMessage::decode(rpc.method.output(), bytes)?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

/// Messages as they are on the wire.
pub(crate) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}
