//! One trace from a client through all three services, at a real OTLP receiver.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tenantry_api::crm::v1::{CreatePersonRequest, Person};
use tenantry_testkit::actors::{Actor, Bearer, fresh_email, login, registration};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::processes::Standalone;

/// The client's own span, in both calls' traces.
const CLIENT_SPAN: &str = "00f067aa0ba902b7";

/// What the receiver was sent.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    async fn start(&self) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(address)
    }

    /// The parent's id of each span of this name; empty where it begins a trace.
    fn parents_of(&self, name: &str) -> Vec<String> {
        let spans = self.0.lock().unwrap();
        spans.iter().filter(|span| span.name == name).map(|span| hex(&span.parent_span_id)).collect()
    }

    /// The spans of a trace: name to (own id, parent's id). Every name is there once.
    fn trace(&self, trace: &str) -> BTreeMap<String, (String, String)> {
        let spans = self.0.lock().unwrap();
        let of_trace = spans.iter().filter(|span| hex(&span.trace_id) == trace);
        of_trace.map(|span| (span.name.clone(), (hex(&span.span_id), hex(&span.parent_span_id)))).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traced<T>(mut request: Request<T>, trace: &str) -> Request<T> {
    let parent = format!("00-{trace}-{CLIENT_SPAN}-01").parse().expect("a header");
    request.metadata_mut().insert("traceparent", parent);
    request
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_trace_goes_through_all_three_services() -> anyhow::Result<()> {
        let receiver = Receiver::default();
        let endpoint = format!("http://{}", receiver.start().await?);
        let folder = tempfile::tempdir()?;
        let mut command = Standalone::command(folder.path(), 0)?;
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        let standalone = Standalone::started(command).await?;
        let clients = standalone.clients();

        let (first, second) = ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737");
        let email = fresh_email();
        let register = traced(Request::new(registration("Traced", &email)), first);
        clients.companies()?.register_company(register).await?;
        let owner = Bearer(login(clients, &email).await?);
        let person = Person { name: "Traced".into(), ..Default::default() };
        let create = CreatePersonRequest { person: Some(person), ..Default::default() };
        clients.people()?.create_person(traced(owner.request(create), second)).await?;
        // Its end sends what is left.
        standalone.process.signal("TERM")?;
        assert!(standalone.process.end().await?.status.success());

        let trace = receiver.trace(first);
        let span = |name: &str| trace.get(name).unwrap_or_else(|| panic!("no {name} in {trace:?}")).clone();
        let registered = span("tenantry.catalog.v1.CompanyService/RegisterCompany");
        assert_eq!(registered.1, CLIENT_SPAN);
        let provision = span("provision");
        assert_eq!(provision.1, registered.0);
        for (step, call) in [("create_database", "CreateTenantDatabase"), ("seed", "SeedTenantDatabase")] {
            let step = span(step);
            assert_eq!(step.1, provision.0);
            assert_eq!(span(&format!("tenantry.migrator.v1.TenantDatabaseService/{call}")).1, step.0);
        }

        let trace = receiver.trace(second);
        let span = |name: &str| trace.get(name).unwrap_or_else(|| panic!("no {name} in {trace:?}")).clone();
        let created = span("tenantry.crm.v1.PersonService/CreatePerson");
        assert_eq!(created.1, CLIENT_SPAN);
        assert_eq!(span("tenantry.catalog.v1.TenantDirectoryService/ResolveTenant").1, created.0);
        // The keys were there before anybody needed them: fetching them is nobody's request.
        let fetches = receiver.parents_of("tenantry.catalog.v1.KeyService/GetJwks");
        assert!(fetches.iter().all(String::is_empty) && !fetches.is_empty(), "{fetches:?}");
        Ok(())
    }
}
