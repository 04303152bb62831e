//! [`UdpRelay`]: a stretch of network that a test has in its hand: wide or narrow, slow, with losses, or cut off.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Passes packets on between a client that speaks IPv4 alone and a server that had better speak IPv6 alone, so that there is no way
/// around it.
///
/// At first it passes everything at once. It ends when it is dropped.
#[derive(Debug)]
pub struct UdpRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    _ways: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    outside: UdpSocket,
    inside: UdpSocket,
    /// Who sent the last packet.
    client: Mutex<Option<SocketAddr>>,
    cut: AtomicBool,
    delay_ms: AtomicU64,
    bytes_per_second: AtomicU64,
    lost_permille: AtomicU64,
    /// The state of the generator that decides which packets are lost.
    dice: AtomicU64,
    lost: AtomicU64,
    /// Packets, both ways, and bytes to the server.
    passed: AtomicU64,
    passed_bytes: AtomicU64,
}

impl UdpRelay {
    /// Begins to pass packets on to and from `server`.
    ///
    /// # Errors
    /// There are no sockets for it.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let loopback: IpAddr = if server.is_ipv6() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        };
        let outside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let inside = UdpSocket::bind((loopback, 0)).await?;
        inside.connect(server).await?;
        let address = outside.local_addr()?;
        let shared = Arc::new(Shared {
            outside,
            inside,
            client: Mutex::new(None),
            cut: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            bytes_per_second: AtomicU64::new(u64::MAX),
            lost_permille: AtomicU64::new(0),
            dice: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            passed_bytes: AtomicU64::new(0),
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

    /// Eats everything, both ways, or lets it pass again.
    pub fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::Relaxed);
    }

    /// Holds each packet up for so long, either way.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(millis, Ordering::Relaxed);
    }

    /// Carries no more than that each way from now on. What does not fit its short queue is dropped, as a router does.
    pub fn narrow(&self, bytes_per_second: u64) {
        let width = &self.shared.bytes_per_second;
        width.store(bytes_per_second.max(1), Ordering::Relaxed);
    }

    /// Loses so many of a thousand packets from now on, each way. Which ones follows from `seed`, which it prints.
    pub fn lose(&self, permille: u64, seed: u64) {
        println!("{permille} of a thousand packets are lost, with the seed {seed}");
        self.shared.dice.store(seed, Ordering::Relaxed);
        self.shared.lost_permille.store(permille, Ordering::Relaxed);
    }

    /// How many packets it has passed, both ways.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// How many bytes it has passed to the server.
    #[must_use]
    pub fn passed_bytes(&self) -> u64 {
        self.shared.passed_bytes.load(Ordering::Relaxed)
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
                *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
                Ok(bytes)
            }
            Way::ToClient => self.inside.recv(packet).await,
        }
    }

    /// A packet that cannot be sent is lost, as on any network.
    async fn send(&self, way: Way, packet: &[u8]) {
        if self.cut.load(Ordering::Relaxed) {
            return;
        }
        self.passed.fetch_add(1, Ordering::Relaxed);
        match way {
            Way::ToServer => {
                self.passed_bytes
                    .fetch_add(packet.len() as u64, Ordering::Relaxed);
                let _ = self.inside.send(packet).await;
            }
            Way::ToClient => {
                let client = *self.client.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(client) = client {
                    let _ = self.outside.send_to(packet, client).await;
                }
            }
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

    /// How long it takes to carry a packet of this length.
    fn takes(&self, bytes: usize) -> Duration {
        let width = self.bytes_per_second.load(Ordering::Relaxed);
        Duration::from_micros(bytes as u64 * 1_000_000 / width)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::Relaxed))
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
                shared.send(way, &packet).await;
            }
            received = shared.receive(way, &mut packet) => {
                // An error is what an earlier packet met at its end.
                let Ok(bytes) = received else { continue };
                let now = Instant::now();
                let is_full = free_at.saturating_duration_since(now) > QUEUE;
                if is_full || shared.loses_one() {
                    continue;
                }
                free_at = free_at.max(now) + shared.takes(bytes);
                let due = free_at + shared.delay();
                // A timer is late by up to a millisecond.
                if due <= now && queue.is_empty() {
                    shared.send(way, &packet[..bytes]).await;
                } else {
                    queue.push_back((due, packet[..bytes].to_vec()));
                }
            }
        }
    }
}

/// How long a packet may wait for those before it.
const QUEUE: Duration = Duration::from_millis(20);
