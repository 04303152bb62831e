//! [`NodeConfig`]: what a file says of a node. What it says of transports is [`RunnerConfig`]'s.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use blixard_raft_cluster::node::Failure;
use blixard_raft_transport::Member;
use blixard_rpc::{
    Result,
    runner::{Mode, RunnerConfig, Transport},
    transport::{
        grpc::GrpcPeer,
        iroh::{EndpointAddr, EndpointId, IrohPeer},
    },
};
use serde::{Deserialize, de::IgnoredAny};

/// All that a file says.
#[derive(Debug)]
pub struct NodeConfig {
    /// On what is served, and which service on which of it.
    pub runner: RunnerConfig,
    /// Who the node is.
    pub node: NodeSettings,
    /// The members of its cluster, itself among them.
    pub members: Vec<MemberSettings>,
    /// How it speaks with the others.
    pub raft: RaftSettings,
    /// Which machines it runs; without it none.
    pub vm: Option<VmSettings>,
    /// Which disk images it gives to others and gets from them; without it none.
    pub images: Option<ImageSettings>,
}

/// Who a node is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    /// Its number.
    pub id: u64,
    /// Where it keeps everything.
    pub data: PathBuf,
    /// The file that says who may call what. It is read again on SIGHUP.
    pub access: PathBuf,
    /// Where `/metrics` is, over plain HTTP: an address that only Prometheus should reach.
    pub metrics: Option<SocketAddr>,
    /// How much room the disk is to have; with less the node is degraded.
    #[serde(default = "low_disk_bytes")]
    pub low_disk_bytes: u64,
}

/// A member of the cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSettings {
    /// Its number.
    pub id: u64,
    /// Its key, which it proves over iroh, and over gRPC by its certificate.
    pub key: EndpointId,
    /// Where it is over iroh.
    pub iroh: Option<SocketAddr>,
    /// Where it is over gRPC, such as `https://node-2:50051`.
    pub grpc: Option<String>,
}

/// How a node speaks with the other members.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaftSettings {
    /// The name of the cluster.
    pub cluster: String,
    /// By what it calls the others: `grpc`, `iroh` or `dual`. It is read again on SIGHUP.
    pub carry: Carry,
    /// The shortest election timeout.
    #[serde(default = "election_timeout_ms")]
    pub election_timeout_ms: u64,
}

/// By what members are called.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carry {
    /// gRPC with mutual TLS.
    Grpc,
    /// Iroh.
    Iroh,
    /// Iroh, and gRPC while that is away.
    Dual,
}

impl From<Carry> for Mode {
    fn from(carry: Carry) -> Self {
        match carry {
            Carry::Grpc => Self::Grpc,
            Carry::Iroh => Self::Iroh,
            Carry::Dual => Self::Dual,
        }
    }
}

/// How machines are run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmSettings {
    /// QEMU: a name to be looked for, or a path.
    #[serde(default = "binary")]
    pub binary: PathBuf,
    /// Where the kernels and disks of machines are.
    pub images: PathBuf,
    /// How much memory the machines that run may have together; by default nearly all of the node's.
    pub memory_bytes: Option<u64>,
}

/// Where disk images are, and how much they may take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSettings {
    /// Below this are all files that may be shared.
    pub shared: PathBuf,
    /// What images may take that were fetched from others.
    #[serde(default = "max_cached_bytes")]
    pub max_cached_bytes: u64,
}

/// The file as serde reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: NodeSettings,
    #[serde(default)]
    members: Vec<MemberSettings>,
    raft: RaftSettings,
    vm: Option<VmSettings>,
    images: Option<ImageSettings>,
    #[serde(rename = "mode")]
    _mode: IgnoredAny,
    #[serde(rename = "reflection")]
    _reflection: Option<IgnoredAny>,
    #[serde(rename = "shutdown_grace")]
    _shutdown_grace: Option<IgnoredAny>,
    #[serde(rename = "iroh")]
    _iroh: Option<IgnoredAny>,
    #[serde(rename = "grpc")]
    _grpc: Option<IgnoredAny>,
    #[serde(rename = "migration")]
    _migration: Option<IgnoredAny>,
    #[serde(rename = "dual")]
    _dual: Option<IgnoredAny>,
}

impl NodeConfig {
    /// Reads a file; variables such as `BLIXARD_NODE_GRPC__LISTEN` go before what it says of transports.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        let runner = RunnerConfig::load_beside(Some(file), "BLIXARD_NODE", &OWN)?;
        let name = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        let own: File = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
        let config = Self {
            runner,
            node: own.node,
            members: own.members,
            raft: own.raft,
            vm: own.vm,
            images: own.images,
        };
        config.check().map_err(|why| format!("{name}: {why}"))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let carry = self.carry();
        for transport in Transport::ALL.into_iter().filter(|it| carry.serves(*it)) {
            if let Some(member) = self.members.iter().find(|it| !it.has(transport)) {
                return Err(format!(
                    "members: {} has no address for {transport}, by which raft.carry = {:?} calls it",
                    member.id,
                    carry.name()
                ));
            }
        }
        if !self.members.iter().any(|it| it.id == self.node.id) {
            return Err(format!(
                "node.id = {}: no member has this number; name the node itself too",
                self.node.id
            ));
        }
        if self.images.is_some() && !self.runner.mode.serves(Transport::Iroh) {
            return Err(format!(
                "images: they travel over iroh, which mode = {:?} does not serve; leave the section out, or let the mode be \"dual\" or \"iroh\"",
                self.runner.mode.name()
            ));
        }
        let has_tls = self.runner.grpc.as_ref().is_some_and(|grpc| {
            let tls = grpc.tls.as_ref();
            tls.is_some_and(|tls| tls.client_authorities_file.is_some())
        });
        if carry.serves(Transport::Grpc) && !has_tls {
            return Err(format!(
                "grpc.tls.client_authorities_file: it is needed and not there; with raft.carry = {:?} members prove by certificates who they are",
                carry.name()
            ));
        }
        Ok(())
    }

    /// By what members are called.
    #[must_use]
    pub fn carry(&self) -> Mode {
        self.raft.carry.into()
    }

    /// Whether it needs iroh, be it to serve or to call.
    #[must_use]
    pub fn needs_iroh(&self) -> bool {
        self.runner.mode.serves(Transport::Iroh) || self.carry().serves(Transport::Iroh)
    }
}

impl MemberSettings {
    const fn has(&self, transport: Transport) -> bool {
        match transport {
            Transport::Iroh => self.iroh.is_some(),
            Transport::Grpc => self.grpc.is_some(),
        }
    }

    /// Where it is over iroh.
    #[must_use]
    pub fn iroh_peer(&self) -> Option<IrohPeer> {
        let address = self.iroh?;
        Some(EndpointAddr::new(self.key).with_ip_addr(address).into())
    }

    /// Where it is over gRPC.
    ///
    /// # Errors
    /// If that is no address.
    pub fn grpc_peer(&self) -> Result<Option<GrpcPeer>> {
        self.grpc.as_ref().map(|it| it.parse()).transpose()
    }

    /// The member as the transport knows it.
    ///
    /// # Errors
    /// An address that is none.
    pub fn member(&self) -> Result<Member> {
        let mut member = Member::new(self.id).key(*self.key.as_bytes());
        if let Some(peer) = self.iroh_peer() {
            member = member.iroh(peer);
        }
        if let Some(peer) = self.grpc_peer()? {
            member = member.grpc(peer);
        }
        Ok(member)
    }
}

/// What in the file is not of transports.
const OWN: [&str; 5] = ["node", "members", "raft", "vm", "images"];

fn binary() -> PathBuf {
    "qemu-system-x86_64".into()
}

const fn max_cached_bytes() -> u64 {
    64 << 30
}

const fn low_disk_bytes() -> u64 {
    1 << 30
}

fn election_timeout_ms() -> u64 {
    let timeout = blixard_raft_cluster::node::ELECTION_TIMEOUT;
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}
