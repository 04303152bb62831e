//! [`Carried`]: a layer that counts calls by service and by what has carried them. It says when a transport is needed no more.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use blixard_rpc::{
    Dispatch, Layer, Peer, Result,
    call::{Request, Response},
    codec::Codec,
    method::{MethodDescriptor, ServiceDescriptor},
};

/// How many calls of which service came over what. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct Carried(Arc<Mutex<Counts>>);

/// By service and transport. Who calls what does not exist makes no series.
type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl Carried {
    fn count(&self, request: &Request) {
        let Some(method) = request.method.descriptor() else {
            return;
        };
        let over = match request.peer {
            Peer::Key(_) => "iroh",
            Peer::Memory => "memory",
            _ => "grpc",
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((method.service().name, over)).or_default() += 1;
    }

    /// The counts, in the text format of Prometheus.
    pub fn write(&self, out: &mut String) {
        let name = "blixard_node_calls_carried_total";
        *out += &format!("# HELP {name} Calls, by what has carried them.\n# TYPE {name} counter\n");
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((service, over), count) in &*counts {
            let _ = writeln!(
                out,
                "{name}{{service=\"{service}\",transport=\"{over}\"}} {count}"
            );
        }
    }
}

impl Layer for Carried {
    type Dispatch<D: Dispatch> = Counting<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Counting<D> {
        Counting {
            inner,
            carried: self.clone(),
        }
    }
}

/// A dispatch whose calls are counted.
#[derive(Clone, Debug)]
pub struct Counting<D> {
    inner: D,
    carried: Carried,
}

impl<D: Dispatch> Dispatch for Counting<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        self.carried.count(&request);
        self.inner.dispatch(request).await
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.inner.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.inner.resolve(path)
    }
}
