//! [`Bottleneck`]: a narrow stretch of network that loses packets, between two endpoints of this process.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Passes packets on between a client that speaks IPv4 alone and a server that speaks IPv6 alone, so that there is no way around it.
///
/// Each way it carries so many bytes a second. What does not fit its short queue is dropped, as a router does, and so is a share of
/// the packets, if it is told so. It ends when it is dropped.
#[derive(Debug)]
pub struct Bottleneck {
    address: SocketAddr,
    shared: Arc<Shared>,
    _ways: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    outside: UdpSocket,
    inside: UdpSocket,
    /// Who sent the first packet.
    client: OnceLock<SocketAddr>,
    bytes_per_second: u64,
    lost_permille: AtomicU64,
    /// The state of the generator that decides which packets are lost.
    dice: AtomicU64,
    lost: AtomicU64,
    /// Bytes to the server.
    passed: AtomicU64,
}

impl Bottleneck {
    /// Begins to pass packets on to and from `server`. What it loses follows from `seed`, which it prints.
    ///
    /// # Errors
    /// There are no sockets for it.
    pub async fn before(server: SocketAddr, bytes_per_second: u64, seed: u64) -> io::Result<Self> {
        println!("a bottleneck of {bytes_per_second} bytes a second, with the seed {seed}");
        let outside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let inside = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await?;
        inside.connect(server).await?;
        let address = outside.local_addr()?;
        let shared = Arc::new(Shared {
            outside,
            inside,
            client: OnceLock::new(),
            bytes_per_second,
            lost_permille: AtomicU64::new(0),
            dice: AtomicU64::new(seed),
            lost: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        });
        let mut ways = JoinSet::new();
        for way in [Way::ToServer, Way::ToClient] {
            ways.spawn(pass(Arc::clone(&shared), way));
        }
        Ok(Self {
            address,
            shared,
            _ways: ways,
        })
    }

    /// Where the client finds the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses so many of a thousand packets from now on, each way.
    pub fn lose(&self, permille: u64) {
        self.shared.lost_permille.store(permille, Ordering::Relaxed);
    }

    /// How many bytes it has passed to the server.
    #[must_use]
    pub fn passed_bytes(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// How many packets it has lost, both ways, because it was told so.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy)]
enum Way {
    ToServer,
    ToClient,
}

impl Shared {
    /// The next packet that goes this way.
    async fn receive(&self, way: Way, packet: &mut [u8]) -> io::Result<usize> {
        match way {
            Way::ToServer => {
                let (bytes, client) = self.outside.recv_from(packet).await?;
                self.client.get_or_init(|| client);
                Ok(bytes)
            }
            Way::ToClient => self.inside.recv(packet).await,
        }
    }

    async fn send(&self, way: Way, packet: &[u8]) -> io::Result<usize> {
        match (way, self.client.get()) {
            (Way::ToServer, _) => {
                self.passed
                    .fetch_add(packet.len() as u64, Ordering::Relaxed);
                self.inside.send(packet).await
            }
            (Way::ToClient, Some(client)) => self.outside.send_to(packet, client).await,
            (Way::ToClient, None) => Ok(0),
        }
    }

    /// Whether the next packet is lost: SplitMix64.
    fn loses_one(&self) -> bool {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.dice.fetch_add(STEP, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let lost = (mixed ^ (mixed >> 31)) % 1000 < self.lost_permille.load(Ordering::Relaxed);
        if lost {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        lost
    }
}

async fn pass(shared: Arc<Shared>, way: Way) {
    let mut queue: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut packet = vec![0; 64 * 1024];
    let mut free_at = Instant::now();
    loop {
        let due = queue.front().map_or(free_at, |(due, _)| *due);
        tokio::select! {
            biased;
            () = sleep_until(due), if !queue.is_empty() => {
                let (_, packet) = queue.pop_front().expect("it is not empty");
                // A packet to someone who has gone is lost, as packets are.
                let _ = shared.send(way, &packet).await;
            }
            received = shared.receive(way, &mut packet) => {
                // An error is what an earlier packet met at its end.
                let Ok(bytes) = received else { continue };
                let now = Instant::now();
                let is_full = free_at.saturating_duration_since(now) > QUEUE;
                if is_full || shared.loses_one() {
                    continue;
                }
                let takes = bytes as u64 * 1_000_000 / shared.bytes_per_second;
                free_at = free_at.max(now) + Duration::from_micros(takes);
                queue.push_back((free_at, packet[..bytes].to_vec()));
            }
        }
    }
}

/// How long a packet may wait in the queue.
const QUEUE: Duration = Duration::from_millis(20);
