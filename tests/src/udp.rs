//! [`UdpRelay`]: a way over which datagrams pass, or pass late, or do not: a firewall in the process.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, task::AbortHandle};

/// Passes datagrams between whoever sends to it and one address.
#[derive(Debug)]
pub struct UdpRelay {
    address: SocketAddr,
    way: Arc<Way>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Way {
    cut: AtomicBool,
    delay_ms: AtomicU64,
    passed: AtomicU64,
}

impl UdpRelay {
    /// A relay to `target`.
    ///
    /// # Panics
    /// If loopback cannot be bound.
    pub async fn new(target: SocketAddr) -> Self {
        let front = Arc::new(bind("127.0.0.1:0").await);
        let address = front.local_addr().expect("it is bound");
        let way = Arc::new(Way::default());
        let task = tokio::spawn(relay(front, target, Arc::clone(&way)));
        Self {
            address,
            way,
            task: task.abort_handle(),
        }
    }

    /// Where to send to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Eats everything, in both directions, or lets it pass again.
    pub fn cut(&self, cut: bool) {
        self.way.cut.store(cut, Ordering::Relaxed);
    }

    /// Holds each datagram up for so long, in either direction.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.way.delay_ms.store(millis, Ordering::Relaxed);
    }

    /// How many datagrams have passed.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.way.passed.load(Ordering::Relaxed)
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind(address: &str) -> UdpSocket {
    UdpSocket::bind(address)
        .await
        .expect("loopback can be bound")
}

async fn relay(front: Arc<UdpSocket>, target: SocketAddr, way: Arc<Way>) {
    let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((length, from)) = front.recv_from(&mut buffer).await else {
            continue;
        };
        if let Entry::Vacant(new) = clients.entry(from) {
            let any = if target.is_ipv6() {
                "[::1]:0"
            } else {
                "127.0.0.1:0"
            };
            let back = Arc::new(bind(any).await);
            let task = tokio::spawn(answer(
                Arc::clone(&back),
                Arc::clone(&front),
                from,
                Arc::clone(&way),
            ));
            new.insert(Client(back, task.abort_handle()));
        }
        pass(&way, &clients[&from].0, target, &buffer[..length]).await;
    }
}

/// The socket by which a client's datagrams go on.
struct Client(Arc<UdpSocket>, AbortHandle);

impl Drop for Client {
    fn drop(&mut self) {
        self.1.abort();
    }
}

async fn answer(back: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr, way: Arc<Way>) {
    let mut buffer = vec![0; 65_536];
    loop {
        if let Ok((length, _)) = back.recv_from(&mut buffer).await {
            pass(&way, &front, client, &buffer[..length]).await;
        }
    }
}

async fn pass(way: &Arc<Way>, socket: &Arc<UdpSocket>, to: SocketAddr, datagram: &[u8]) {
    if way.cut.load(Ordering::Relaxed) {
        return;
    }
    way.passed.fetch_add(1, Ordering::Relaxed);
    match way.delay_ms.load(Ordering::Relaxed) {
        // What cannot be sent is lost, as on any network.
        0 => drop(socket.send_to(datagram, to).await),
        delay => {
            let (way, socket, datagram) = (Arc::clone(way), Arc::clone(socket), datagram.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                if !way.cut.load(Ordering::Relaxed) {
                    let _ = socket.send_to(&datagram, to).await;
                }
            });
        }
    }
}
