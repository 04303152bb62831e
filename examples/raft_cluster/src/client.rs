//! A client of the cluster: follows the leader, and knows what an answer that did not come means.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use blixard_rpc::{
    CallOptions, Channel, Pool, Status,
    transport::iroh::{IrohConnector, SecretKey, bind, presets},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    api::{KvError, Node, NodeClient, NodeStatus},
    layout::Layout,
};

/// What became of a change.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is not, and will not be.
    NotDone(String),
    /// Who knows; it may even be done later.
    Unclear(String),
}

/// A client of the cluster. It asks all nodes time and again who leads: a call to a leader that was killed would otherwise be waited for
/// until the connection is given up, which takes seconds.
#[derive(Debug)]
pub struct Client {
    nodes: BTreeMap<u64, NodeClient>,
    /// The highest term that was heard of, and who leads in it.
    leader: Arc<watch::Sender<(u64, u64)>>,
    within: Duration,
    _asking: JoinSet<()>,
}

impl Client {
    /// One with an endpoint of its own.
    ///
    /// # Errors
    /// If no endpoint can be bound.
    pub async fn new(layout: &Layout) -> Result<Self, Box<dyn std::error::Error>> {
        let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
        let connector = IrohConnector::new(endpoint).connect_timeout(Duration::from_millis(500));
        let pool = Pool::new(connector);
        let nodes: BTreeMap<_, _> = layout
            .members
            .iter()
            .map(|member| {
                (
                    member.id,
                    NodeClient::new(Channel::new(pool.channel(member.peer()))),
                )
            })
            .collect();
        Ok(Self::of(nodes))
    }

    /// One that calls these nodes so.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn of(nodes: BTreeMap<u64, NodeClient>) -> Self {
        let first = nodes.keys().next().copied().unwrap_or_default();
        let leader = Arc::new(watch::Sender::new((0, first)));
        let mut asking = JoinSet::new();
        for (id, node) in &nodes {
            asking.spawn(follow(*id, node.clone(), Arc::clone(&leader)));
        }
        Self {
            nodes,
            leader,
            within: Duration::from_secs(2),
            _asking: asking,
        }
    }

    /// The node of this number, with a deadline.
    ///
    /// # Errors
    /// If there is none.
    pub fn node(&self, id: u64) -> Result<NodeClient, KvError> {
        let node = self
            .nodes
            .get(&id)
            .ok_or_else(|| KvError::Other(Status::not_found(format!("there is no node {id}"))))?;
        Ok(node.with(CallOptions::new().deadline(self.within)))
    }

    /// How each node is that answers.
    pub async fn statuses(&self) -> Vec<Option<NodeStatus>> {
        let asked = self.nodes.keys().map(|id| async move {
            let status = async { self.node(*id)?.status().await };
            timeout(ASK, status).await.ok()?.ok()
        });
        futures_util::future::join_all(asked).await
    }

    /// Who leads, as far as those who answer know: of those who say so themselves, the one of the highest term.
    pub async fn leader(&self) -> Option<u64> {
        self.statuses()
            .await
            .into_iter()
            .flatten()
            .filter(|status| status.leader == Some(status.id))
            .max_by_key(|status| status.term)
            .map(|status| status.id)
    }

    /// Sets a key, by asking once.
    pub async fn try_put(&self, key: &str, value: &str) -> Outcome {
        let asked =
            self.ask(|node| async move { node.put(key.to_owned(), value.to_owned()).await });
        match asked.await {
            Ok(_) => Outcome::Done,
            Err(KvError::NotLeader { .. }) => Outcome::NotDone("not the leader".to_owned()),
            Err(KvError::Other(status)) if !status.was_accepted() => {
                Outcome::NotDone(status.to_string())
            }
            Err(error) => Outcome::Unclear(error.to_string()),
        }
    }

    /// Reads a key, by asking once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn try_get(&self, key: &str) -> Result<Option<String>, KvError> {
        let asked = self.ask(|node| async move { node.get(key.to_owned()).await });
        Ok(asked.await?.value)
    }

    /// Asks the leader, until another one leads.
    async fn ask<T, F>(&self, call: impl FnOnce(NodeClient) -> F) -> Result<T, KvError>
    where
        F: Future<Output = Result<T, KvError>>,
    {
        let mut leader = self.leader.subscribe();
        let (term, id) = *leader.borrow_and_update();
        let node = self.node(id)?;
        let result = tokio::select! {
            result = call(node) => result,
            // Its own sender is here: it does not end.
            _ = leader.wait_for(|(now, _)| *now > term) => Err(KvError::Unclear {
                reason: "another one leads by now".to_owned(),
            }),
        };
        if let Err(KvError::NotLeader { leader: Some(next) }) = &result
            && self.nodes.contains_key(next)
        {
            // What was heard of a later term counts for more.
            self.leader.send_if_modified(|now| {
                let changes = *now == (term, id);
                if changes {
                    now.1 = *next;
                }
                changes
            });
        }
        result
    }

    /// Sets a key that nobody else sets, and to nothing else: asks until it is done.
    pub async fn put(&self, key: &str, value: &str) {
        while !matches!(self.try_put(key, value).await, Outcome::Done) {
            // An election is on, or a node is down.
            sleep(PAUSE).await;
        }
    }

    /// Reads a key: asks until there is an answer.
    pub async fn get(&self, key: &str) -> Option<String> {
        loop {
            if let Ok(value) = self.try_get(key).await {
                return value;
            }
            sleep(PAUSE).await;
        }
    }
}

/// Asks a node again and again whether it leads.
async fn follow(id: u64, node: NodeClient, leader: Arc<watch::Sender<(u64, u64)>>) {
    loop {
        if let Ok(Ok(status)) = timeout(ASK, node.status()).await
            && status.leader == Some(id)
        {
            leader.send_if_modified(|now| {
                let newer = status.term > now.0;
                if newer {
                    *now = (status.term, id);
                }
                newer
            });
        }
        sleep(PAUSE).await;
    }
}

/// How long a node may take to say how it is.
const ASK: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);
