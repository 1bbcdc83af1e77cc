//! A TCP proxy that can lose its connections, and its port.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

use crate::{Endpoint, Placement};

pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    target: String,
    listening: Option<JoinHandle<()>>,
    links: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Proxy {
    /// A proxy before the placement's server, and the placement through it.
    pub(super) async fn before(placement: &Placement) -> (Self, Placement) {
        let mut through = placement.clone();
        let (Endpoint::Postgres { host, port, .. } | Endpoint::MySql { host, port, .. }) = &mut through.endpoint else {
            panic!("nothing to proxy")
        };
        let target = format!("{host}:{port}");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut proxy = Self { address, target, listening: None, links: Arc::default() };
        proxy.up().await;
        (*host, *port) = (proxy.address.ip().to_string(), proxy.address.port());
        (proxy, through)
    }

    pub(super) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (target, links) = (self.target.clone(), Arc::clone(&self.links));
        self.listening = Some(tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                let link = tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
                links.lock().unwrap().push(link.abort_handle());
            }
        }));
    }

    /// Nobody gets through any more.
    pub(super) async fn down(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
        self.cut().await;
    }

    /// Those who are through lose their connection.
    pub(super) async fn cut(&self) {
        for link in self.links.lock().unwrap().drain(..) {
            link.abort();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
