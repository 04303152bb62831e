//! blixard-rpc in memory: what encoding, dispatching and decoding cost without a network.

use blixard_rpc::{Channel, Memory, Router};

use super::ours::{BenchClient, router};
use crate::{Outcome, net::Net, stack::Stack};

pub(crate) struct OursMemory(Router);

impl Stack for OursMemory {
    type Client = BenchClient;

    async fn start(_: Net) -> Outcome<Self> {
        Ok(Self(router()))
    }

    async fn connect(&self) -> Outcome<BenchClient> {
        Ok(BenchClient::new(Channel::new(Memory::new(self.0.clone()))))
    }
}
