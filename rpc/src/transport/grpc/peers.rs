//! [`Peers`]: how much of a server's limits each peer has taken. A peer is an address until it has proved who it is.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::config::GrpcConfig;
use crate::call::Peer;

/// What the peers of a server have taken.
#[derive(Debug)]
pub(super) struct Peers {
    max_handshakes_per_address: usize,
    max_connections_per_address: usize,
    max_connections_per_identity: usize,
    taken: Mutex<HashMap<Whose, Taken>>,
}

/// Who takes something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    /// Whoever is there.
    Address(IpAddr),
    /// The holder of a certificate.
    Identity(Peer),
}

/// An entry is there as long as one of them is more than zero.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    connections: usize,
    handshakes: usize,
}

impl Peers {
    pub(super) fn new(config: &GrpcConfig) -> Self {
        Self {
            max_handshakes_per_address: config.max_handshakes_per_address,
            max_connections_per_address: config.max_connections_per_address,
            max_connections_per_identity: config.max_connections_per_identity,
            taken: Mutex::default(),
        }
    }

    /// Takes a connection, on which a handshake begins.
    ///
    /// # Errors
    /// Why it may not be.
    pub(super) fn take(self: &Arc<Self>, peer: &Peer) -> Result<Share, &'static str> {
        let Some(whose) = Whose::of(peer) else {
            return Ok(Share(None));
        };
        let mut all = self.all();
        let taken = all.get(&whose).copied().unwrap_or_default();
        let max_connections = match whose {
            Whose::Address(_) => self.max_connections_per_address,
            Whose::Identity(_) => self.max_connections_per_identity,
        };
        if taken.connections >= max_connections {
            return Err("its peer has as many as one may have");
        }
        if taken.handshakes >= self.max_handshakes_per_address {
            return Err("its peer has as many handshakes under way as one may have");
        }
        let taken = Taken {
            connections: taken.connections + 1,
            handshakes: taken.handshakes + 1,
        };
        all.insert(whose.clone(), taken);
        drop(all);
        Ok(Share(Some(Owned {
            peers: Arc::clone(self),
            whose,
            is_shaking: true,
        })))
    }

    fn change(&self, whose: &Whose, change: impl FnOnce(&mut Taken)) {
        let mut all = self.all();
        if let Some(taken) = all.get_mut(whose) {
            change(taken);
            if taken.connections == 0 && taken.handshakes == 0 {
                all.remove(whose);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Whose, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whose {
    /// `None` for who cannot be told from others.
    fn of(peer: &Peer) -> Option<Self> {
        match peer {
            Peer::Address(address) => Some(Self::Address(network(address.ip()))),
            Peer::Key(_) | Peer::Certificate(_) => Some(Self::Identity(peer.clone())),
            Peer::Memory | Peer::Unknown => None,
        }
    }
}

/// What one host has: of IPv6 that is a network of 64 bits, in which it has as many addresses as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address @ IpAddr::V4(_) => address,
    }
}

/// What one connection has taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Share(Option<Owned>);

#[derive(Debug)]
struct Owned {
    peers: Arc<Peers>,
    whose: Whose,
    is_shaking: bool,
}

impl Share {
    /// The handshake is over, and has proved who the peer is, or not. Who is known has limits of its own, and takes nothing of its
    /// address.
    ///
    /// # Errors
    /// Why the connection may not be.
    pub(super) fn shaken(&mut self, peer: &Peer) -> Result<(), &'static str> {
        let Some(owned) = &mut self.0 else {
            return Ok(());
        };
        if Whose::of(peer).is_some_and(|whose| whose != owned.whose) {
            *self = owned.peers.clone().take(peer)?;
        }
        if let Some(owned) = &mut self.0 {
            owned.is_shaking = false;
            owned
                .peers
                .change(&owned.whose, |taken| taken.handshakes -= 1);
        }
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let handshakes = usize::from(self.is_shaking);
        self.peers.change(&self.whose, |taken| {
            taken.connections -= 1;
            taken.handshakes -= handshakes;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Certificate;

    fn peers() -> Arc<Peers> {
        Arc::new(Peers::new(&GrpcConfig {
            max_handshakes_per_address: 2,
            max_connections_per_address: 3,
            max_connections_per_identity: 1,
            ..GrpcConfig::default()
        }))
    }

    fn at(address: &str) -> Peer {
        Peer::Address((address.parse::<IpAddr>().unwrap(), 7).into())
    }

    #[test]
    fn a_host_is_one_whatever_its_address() {
        for (one, other, same) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(
                Whose::of(&at(one)) == Whose::of(&at(other)),
                same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn what_is_taken_is_given_back() {
        let (peers, peer) = (peers(), at("10.0.0.1"));
        let mut one = peers.take(&peer).unwrap();
        let mut two = peers.take(&peer).unwrap();
        assert!(peers.take(&peer).unwrap_err().contains("handshakes"));
        let _other = peers.take(&at("10.0.0.2")).unwrap();
        one.shaken(&peer).unwrap();
        two.shaken(&peer).unwrap();
        let three = peers.take(&peer).unwrap();
        assert!(peers.take(&peer).unwrap_err().contains("as many as"));
        drop((one, two, three));
        assert_eq!(peers.all().len(), 1);
    }

    #[test]
    fn who_is_known_leaves_its_address_to_others() {
        let (peers, address) = (peers(), at("10.0.0.1"));
        let known = |name: &str| {
            Peer::Certificate(Certificate::new(name.as_bytes().to_vec(), Vec::new(), None))
        };
        let mut shares = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let mut share = peers.take(&address).unwrap();
            share.shaken(&known(name)).unwrap();
            shares.push(share);
        }
        let mut again = peers.take(&address).unwrap();
        assert!(again.shaken(&known("a")).is_err());
        drop(shares.remove(0));
        again.shaken(&known("a")).unwrap();
        drop((shares, again));
        assert!(peers.all().is_empty());
    }

    #[test]
    fn nobody_in_particular_has_no_limit() {
        let peers = peers();
        let shares: Vec<_> = (0..10)
            .map(|_| peers.take(&Peer::Unknown).unwrap())
            .collect();
        assert!(peers.all().is_empty(), "{shares:?}");
    }
}
