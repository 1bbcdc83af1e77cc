//! A receiver of metrics by OTLP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::table::Instrument;

/// What it was sent: the instrument and the unit of each metric, by name.
#[derive(Clone, Default)]
pub(super) struct Receiver(Arc<Mutex<BTreeMap<String, (Instrument, String)>>>);

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics.into_iter();
        let metrics = resources.flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics);
        let seen = metrics.filter_map(|metric| Some((metric.name, (instrument(&metric.data?)?, metric.unit))));
        self.0.lock().unwrap().extend(seen);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn instrument(data: &Data) -> Option<Instrument> {
    match data {
        Data::Gauge(_) => Some(Instrument::Gauge),
        Data::Sum(sum) if sum.is_monotonic => Some(Instrument::Counter),
        Data::Sum(_) => Some(Instrument::UpDownCounter),
        Data::Histogram(_) => Some(Instrument::Histogram),
        Data::ExponentialHistogram(_) | Data::Summary(_) => None,
    }
}

impl Receiver {
    pub(super) async fn start(&self) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tonic::transport::Server::builder().add_service(MetricsServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(address)
    }

    pub(super) fn seen(&self) -> BTreeMap<String, (Instrument, String)> {
        self.0.lock().unwrap().clone()
    }
}
