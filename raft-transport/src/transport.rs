//! [`Transport`]: the members of a cluster, and the way to each of them.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use blixard_rpc::{Result, Status, runner::Mode};
use blixard_services::{node::Condition, raft::RaftServer};

use crate::{
    arrival,
    config::TransportConfig,
    engine::Engine,
    health::Standing,
    inbound::Inbound,
    member::{Member, MemberId},
    metrics::{self, PeerStatus},
    network::Network,
    peer::Peer,
    shared::{Shared, Sink},
};

/// The members of a cluster, and the way to each of them: what an engine sends by, and receives by.
///
/// It is made first, without an engine; the engine is made with its [peers](Self::peer), and then [served](Self::server). A clone is
/// another handle of the same transport. When the last one is dropped, nothing that is queued is sent any more.
#[derive(Clone)]
pub struct Transport(Arc<Handle>);

/// Ends what goes on beside when it is dropped.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        for peer in self.0.peers() {
            peer.end(&self.0);
        }
    }
}

impl Transport {
    /// A transport without members yet.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, with which setting is wrong.
    pub fn new(config: TransportConfig, network: Network) -> Result<Self> {
        config.check()?;
        network.check(config.mode)?;
        arrival::clean(&config);
        let shared = Shared::new(config, network);
        Ok(Self(Arc::new(Handle(Arc::new(shared)))))
    }

    /// Serves `engine` to the other members: add it to the router. What the transport has to [tell](Engine::event), it tells the first
    /// engine that is served, for as long as that lives.
    #[must_use]
    pub fn server<E: Engine>(&self, engine: Arc<E>) -> RaftServer<Inbound<E>> {
        let sink: Arc<dyn Sink> = Arc::<E>::clone(&engine);
        self.shared()
            .set_sink(Arc::downgrade(&sink) as Weak<dyn Sink>);
        RaftServer::new(Inbound::new(Arc::clone(self.shared()), engine))
    }

    /// Who this member is.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.shared().config.id
    }

    /// The bounds and times.
    #[must_use]
    pub fn config(&self) -> &TransportConfig {
        &self.shared().config
    }

    /// A handle of this member; `None` if it is none.
    #[must_use]
    pub fn peer(&self, id: MemberId) -> Option<Peer> {
        let state = self.shared().peer(id)?;
        Some(Peer::new(Arc::clone(self.shared()), state))
    }

    /// The other members, by their numbers.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let peers = self.shared().peers();
        peers.iter().map(|peer| peer.member.clone()).collect()
    }

    /// Adds a member, or changes how it is reached and known: its streams are opened anew. This member itself is no peer of its own, and
    /// is passed over.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if another member is known by the same key or name; or if it would be reached over gRPC without TLS, which
    /// proves nothing, and the transport is not `insecure`.
    pub fn set_member(&self, member: Member) -> Result<()> {
        if member.id == self.id() {
            return Ok(());
        }
        #[cfg(feature = "grpc")]
        if let Some(grpc) = &member.grpc
            && !grpc.is_tls()
            && !self.shared().config.insecure
        {
            return Err(Status::invalid_argument(format!(
                "member {} is at {grpc}, and without mutual TLS nobody knows who calls: use https, or, for tests, insecure = true",
                member.id
            )));
        }
        if member.keys.is_empty() && member.names.is_empty() && !self.shared().config.insecure {
            return Err(Status::invalid_argument(format!(
                "nothing is said of member {} by which it is known: `Member::iroh`, `key` or `certificate_name`",
                member.id
            )));
        }
        self.shared().set_member(member)
    }

    /// Makes this the whole of the members.
    ///
    /// # Errors
    /// As [`set_member`](Self::set_member); those before the one that is wrong are set.
    pub fn set_members(&self, members: impl IntoIterator<Item = Member>) -> Result<()> {
        let members: Vec<Member> = members.into_iter().collect();
        for known in self.members() {
            if !members.iter().any(|member| member.id == known.id) {
                self.remove_member(known.id);
            }
        }
        members
            .into_iter()
            .try_for_each(|member| self.set_member(member))
    }

    /// Removes a member: what is queued for it is dropped, and what it sends is refused.
    pub fn remove_member(&self, id: MemberId) {
        self.shared().remove_member(id);
    }

    /// In which mode calls are made now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.shared().mode()
    }

    /// Makes calls in this mode from now on. Calls that are under way end where they are, streams are ended when what was sent on them is
    /// acknowledged, and opened anew; so no message is lost by it. What the other members serve must be there before.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the network has no such transport; then nothing changes.
    pub fn set_mode(&self, mode: Mode) -> Result<()> {
        self.shared().pools.network().check(mode)?;
        let changed = self
            .shared()
            .mode
            .send_if_modified(|now| std::mem::replace(now, mode) != mode);
        if changed {
            tracing::info!(mode = mode.name(), "members are called so from now on");
        }
        Ok(())
    }

    /// How each of the other members is, by their numbers.
    #[must_use]
    pub fn status(&self) -> Vec<PeerStatus> {
        let peers = self.shared().peers();
        peers
            .iter()
            .map(|peer| PeerStatus::of(self.shared(), peer))
            .collect()
    }

    /// How the ways to the other members are, for the health of the node: degraded while one of them is not reached.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let peers = self.status();
        let down = peers.iter().filter(|peer| {
            let mut classes = peer.classes.iter();
            classes.any(|it| it.standing == Standing::Down)
        });
        let down: Vec<String> = down.map(|peer| peer.id.to_string()).collect();
        if down.is_empty() {
            return Condition::Serving;
        }
        Condition::Degraded(format!(
            "these members are not reached: {}; see whether they run, and `mode = {:?}` reaches them",
            down.join(", "),
            self.mode().name()
        ))
    }

    /// All that is counted, in the
    /// [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/): to be appended to what
    /// [`Metrics::render`](blixard_rpc::observe::Metrics::render) says.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics::render(self.shared())
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", self.config())
            .field("mode", &self.mode())
            .field("members", &self.members())
            .finish_non_exhaustive()
    }
}
