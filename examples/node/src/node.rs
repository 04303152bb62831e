//! One node: its files, its services, and what it is told while it runs.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use blixard_raft_cluster::{
    api::NodeServer,
    node::{Failure, Members, Replica},
    process::READY,
};
use blixard_raft_transport::{Network, Transport, TransportConfig};
use blixard_rpc::{
    Channel, Pool, Router, Status,
    middleware::Measure,
    observe::Metrics,
    runner::{DualChannel, Running},
    transport::{
        grpc::{ClientTls, GrpcConnector},
        iroh::{Endpoint, IrohConnector, IrohServer},
    },
};
use blixard_services::{
    auth::{Access, Peers, Policy, Role},
    image::{self, ImageConfig, ImageHost},
    node::{Components, Condition, Storage, Watched, Weight},
    status::{Connections, StatusReports},
    vm::{HostConfig, Qemu, QemuConfig, VmHost, backend::Hypervisor},
};
use iroh_metrics::Registry;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    carried::Carried,
    config::{ImageSettings, NodeConfig, VmSettings},
    metrics::{Reloads, Sources},
    page,
};

/// Runs a node until it is told to end, by SIGTERM or SIGINT. On SIGHUP it reads again which service is carried by what, by what the other
/// members are called, and who may call.
///
/// # Errors
/// What is wrong with the file, or cannot be opened.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let node = Node::start(file).await?;
    println!("{READY}");
    let mut again = signal(SignalKind::hangup())?;
    let mut end = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = again.recv() => match node.reload(file) {
                Ok(()) => tracing::warn!("the file counts as it is now"),
                Err(error) => tracing::error!("nothing has changed: {error}"),
            },
            _ = end.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    node.shut_down().await;
    Ok(())
}

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    running: Running,
    endpoint: Option<Endpoint>,
    grace: Duration,
    transport: Transport,
    access: Access,
    components: Components,
    machines: Option<VmHost<Qemu>>,
    images: Option<ImageHost>,
    reloads: Arc<Reloads>,
    raft: Members,
    _watched: Vec<Watched>,
}

impl Node {
    /// Starts one as its file says.
    ///
    /// # Errors
    /// What is wrong with the file, or cannot be opened.
    pub async fn start(file: &Path) -> Result<Self, Failure> {
        let config = NodeConfig::load(file)?;
        let data = &config.node.data;
        fs::create_dir_all(data)
            .map_err(|error| format!("node.data: {}: {error}", data.display()))?;

        // Who is called, and how.
        let connections = Connections::new();
        let endpoint = if config.needs_iroh() {
            let builder = config.runner.iroh.builder()?.hooks(connections.clone());
            Some(
                builder
                    .bind()
                    .await
                    .map_err(|error| format!("iroh.bind: {error}"))?,
            )
        } else {
            None
        };
        let dialler = Dialler::new(&config, endpoint.as_ref())?;
        let transport = dialler.transport(&config)?;

        // Who may call it, and fetch its images.
        let access = Access::new(Peers::load(&config.node.access)?, policy());

        // What it does.
        let addresses = config.members.iter().map(|it| {
            let address = it.iroh.map(|it| it.to_string()).or_else(|| it.grpc.clone());
            (it.id, address.unwrap_or_default())
        });
        let replica = Replica::open(&transport, &data.join("raft"), addresses.collect()).await?;
        let mut cluster = replica.cluster();
        if let Some(me) = config.members.iter().find(|it| it.id == config.node.id) {
            cluster = cluster.key(*me.key.as_bytes());
        }
        let used: Arc<OnceLock<VmHost<Qemu>>> = Arc::default();
        let images = match (&config.images, &endpoint) {
            (Some(settings), Some(endpoint)) => {
                Some(open_images(settings, data, &access, endpoint, &used).await?)
            }
            _ => None,
        };
        let machines = match &config.vm {
            Some(settings) => {
                let channels = dialler.channels(&config)?;
                Some(open_machines(settings, data, channels, images.clone()).await?)
            }
            None => None,
        };
        if let Some(machines) = &machines {
            let _ = used.set(machines.clone());
        }
        let components = Components::new();
        let watched = watch(
            &config,
            &components,
            &cluster,
            &transport,
            endpoint.as_ref(),
            machines.as_ref(),
        );
        let reports = StatusReports::new(env!("CARGO_PKG_VERSION"))
            .cluster(cluster.clone())
            .peers(connections.clone());

        // What is counted.
        let (calls, carried) = (Metrics::new(), Carried::default());
        let mut router = Router::new()
            .add(components.server())
            .add(components.reporter().server())
            .add(reports.server())
            .add(replica.raft_server());
        if let Some(machines) = &machines {
            router = router.add(machines.server());
        }
        if let Some(images) = &images {
            router = router.add(images.server());
        }
        let (reloads, raft) = (Arc::new(Reloads::default()), cluster.clone());
        let sources = Sources {
            reloads: Arc::clone(&reloads),
            calls: calls.clone(),
            carried: carried.clone(),
            components: components.clone(),
            connections,
            iroh: endpoint.as_ref().map(registry),
            transport: transport.clone(),
            cluster: Box::new(cluster),
            machines: machines.clone(),
            images: images.clone(),
        };
        let router = router
            .add(NodeServer::new(replica))
            .layer(access.clone())
            .layer(carried)
            .layer(Measure::server(&calls));
        let runner = match &endpoint {
            Some(endpoint) => {
                let contents = images.as_ref().map(ImageHost::protocol);
                let server = move |router| {
                    let server = IrohServer::new(router);
                    match contents {
                        Some(contents) => server.beside(image::ALPN, contents),
                        None => server,
                    }
                };
                let served = endpoint.clone();
                config.runner.runner_on(router, served, server).await?
            }
            None => config.runner.runner(router).await?,
        };
        let running = runner.start()?;
        if let Some(address) = config.node.metrics {
            let bound = page::serve(address, Arc::new(sources)).await;
            bound.map_err(|error| format!("node.metrics = {address}: {error}"))?;
        }
        Ok(Self {
            running,
            endpoint,
            grace: config.runner.shutdown_grace,
            transport,
            access,
            components,
            machines,
            images,
            reloads,
            raft,
            _watched: watched,
        })
    }

    /// Waits until it knows of a leader.
    pub async fn has_leader(&self) {
        while self.raft.condition() != Condition::Serving {
            tokio::time::sleep(LOOK_OFTEN).await;
        }
    }

    /// Reads again what can change while it runs. All of it changes, or nothing.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn reload(&self, file: &Path) -> Result<(), Failure> {
        let done = self.apply(file);
        self.reloads.note(done.is_ok());
        done
    }

    fn apply(&self, file: &Path) -> Result<(), Failure> {
        let config = NodeConfig::load(file)?;
        let peers = Peers::load(&config.node.access)?;
        let before = self.transport.mode();
        // Each of these checks before it changes anything.
        self.transport.set_mode(config.carry())?;
        if let Err(status) = self.running.apply(config.runner.migration) {
            self.transport.set_mode(before)?;
            return Err(status.into());
        }
        self.access.replace(peers);
        Ok(())
    }

    /// Takes no new calls, lets those in flight end, and lets go of the machines, which go on.
    pub async fn shut_down(self) {
        self.components.shutdown();
        // The others' streams end with the engine, and nothing waits for them.
        self.raft.shut_down().await;
        self.running.shutdown(self.grace).await;
        if let Some(machines) = self.machines {
            machines.close().await;
        }
        if let Some(images) = self.images {
            images.close().await;
        }
        if let Some(endpoint) = self.endpoint {
            endpoint.close().await;
        }
    }
}

/// Opens the images, of which those stay that machines use.
async fn open_images(
    settings: &ImageSettings,
    data: &Path,
    access: &Access,
    endpoint: &Endpoint,
    used: &Arc<OnceLock<VmHost<Qemu>>>,
) -> Result<ImageHost, Failure> {
    let used = Arc::clone(used);
    let mut config = ImageConfig::new(data)
        .access(access)
        .users(move || used.get().map(VmHost::bases));
    config.images.clone_from(&settings.shared);
    config.max_cached_bytes = settings.max_cached_bytes;
    Ok(ImageHost::open(config, endpoint.clone()).await?)
}

/// Opens the machines, which may go to these nodes, and whose disks may begin as images.
async fn open_machines(
    settings: &VmSettings,
    data: &Path,
    channels: BTreeMap<String, Channel>,
    images: Option<ImageHost>,
) -> Result<VmHost<Qemu>, Failure> {
    let mut qemu = QemuConfig::new(data);
    qemu.binary.clone_from(&settings.binary);
    qemu.images.clone_from(&settings.images);
    if let Some(images) = images {
        qemu = qemu.bases(move |hash| {
            let images = images.clone();
            async move { images.file(&hash).await }
        });
    }
    let mut host = HostConfig::default().nodes(move |name| {
        let channel = channels.get(name).cloned();
        channel.ok_or_else(|| {
            let known: Vec<_> = channels.keys().collect();
            Status::not_found(format!("no node {name:?}: this one knows {known:?}"))
        })
    });
    if let Some(bytes) = settings.memory_bytes {
        host = host.memory_bytes(bytes);
    }
    Ok(VmHost::open_with(data, Qemu::open(qemu)?, host).await?)
}

/// By what the other members are called: over iroh, gRPC or both.
struct Dialler {
    iroh: Option<IrohConnector>,
    grpc: Option<GrpcConnector>,
}

impl Dialler {
    fn new(config: &NodeConfig, endpoint: Option<&Endpoint>) -> Result<Self, Failure> {
        let tls = config.runner.grpc.as_ref().and_then(|it| it.tls.as_ref());
        let mut grpc = None;
        if let Some(tls) = tls
            && let Some(authorities) = &tls.client_authorities_file
        {
            let read = |path: &Path| {
                fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
            };
            let (authorities, key) = (read(authorities)?, read(&tls.key_file)?);
            let certificate = read(&tls.certificate_file)?;
            let tls = ClientTls::mutual(&authorities, &certificate, &key)?;
            grpc = Some(GrpcConnector::new().tls(tls));
        }
        Ok(Self {
            iroh: endpoint.map(|it| IrohConnector::new(it.clone())),
            grpc,
        })
    }

    /// How the members of the cluster are called for Raft.
    fn transport(&self, config: &NodeConfig) -> Result<Transport, Failure> {
        let mut network = Network::new();
        if let Some(iroh) = &self.iroh {
            network = network.iroh(iroh.clone());
        }
        if let Some(grpc) = &self.grpc {
            network = network.grpc(grpc.clone());
        }
        let mut to = TransportConfig::new(config.raft.cluster.clone(), config.node.id);
        to.mode = config.carry();
        to.election_timeout = Duration::from_millis(config.raft.election_timeout_ms);
        to.snapshot.directory = config.node.data.join("incoming");
        let transport = Transport::new(to, network)?;
        for member in &config.members {
            transport.set_member(member.member()?)?;
        }
        Ok(transport)
    }

    /// A channel to each other member, by its number, for all other calls. It follows a service that has moved.
    fn channels(&self, config: &NodeConfig) -> Result<BTreeMap<String, Channel>, Failure> {
        let iroh = self.iroh.clone().map(Pool::new);
        let grpc = self.grpc.clone().map(Pool::new);
        let others = config.members.iter().filter(|it| it.id != config.node.id);
        let mut channels = BTreeMap::new();
        for member in others {
            let iroh = iroh.as_ref().zip(member.iroh_peer());
            let iroh = iroh.map(|(pool, peer)| pool.channel(peer));
            let grpc = grpc.as_ref().zip(member.grpc_peer()?);
            let grpc = grpc.map(|(pool, peer)| pool.channel(peer));
            let channel = match (iroh, grpc) {
                (Some(iroh), Some(grpc)) => Channel::new(DualChannel::new(iroh, grpc)),
                (Some(iroh), None) => Channel::new(iroh),
                (None, Some(grpc)) => Channel::new(grpc),
                (None, None) => continue,
            };
            channels.insert(member.id.to_string(), channel);
        }
        Ok(channels)
    }
}

/// Has all parts of the node looked at.
fn watch(
    config: &NodeConfig,
    components: &Components,
    cluster: &Members,
    transport: &Transport,
    endpoint: Option<&Endpoint>,
    machines: Option<&VmHost<Qemu>>,
) -> Vec<Watched> {
    let storage = Storage::new(&config.node.data, config.node.low_disk_bytes);
    let mut watched = vec![
        components
            .add("storage", Weight::Essential)
            .watched(storage, LOOK),
    ];
    if let Some(machines) = machines {
        let qemu = Arc::clone(machines.hypervisor());
        let ready = move || {
            let qemu = Arc::clone(&qemu);
            async move { Condition::from(qemu.ready().await) }
        };
        watched.push(
            components
                .add("hypervisor", Weight::Useful)
                .watched(ready, LOOK),
        );
    }
    let cluster = cluster.clone();
    let raft = move || std::future::ready(cluster.condition());
    watched.push(
        components
            .add("raft", Weight::Useful)
            .watched(raft, LOOK_OFTEN),
    );
    let (transport, endpoint) = (transport.clone(), endpoint.cloned());
    let transports = move || {
        let closed = endpoint.as_ref().is_some_and(Endpoint::is_closed);
        std::future::ready(if closed {
            Condition::NotServing("the endpoint of iroh is closed: start the node again".into())
        } else {
            transport.condition()
        })
    };
    watched.push(
        components
            .add("transports", Weight::Useful)
            .watched(transports, LOOK_OFTEN),
    );
    watched
}

/// What iroh counts of itself, as `iroh_…`.
fn registry(endpoint: &Endpoint) -> Registry {
    let mut registry = Registry::default();
    registry
        .sub_registry_with_prefix("iroh")
        .register_all(endpoint.metrics());
    registry
}

/// What the services of a node need, and the store that this example replicates.
fn policy() -> Policy {
    let store = |method: &str| format!("/raft_cluster.v1.Node/{method}");
    Policy::new()
        .needs(store("Put"), Role::Operator)
        .needs(store("Get"), Role::Viewer)
        .needs(store("Local"), Role::Viewer)
        .needs(store("Status"), Role::Viewer)
}

/// How often what costs nothing is looked at.
const LOOK_OFTEN: Duration = Duration::from_millis(200);
/// How often the disk and QEMU are.
const LOOK: Duration = Duration::from_secs(5);
