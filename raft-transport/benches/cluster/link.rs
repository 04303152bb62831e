//! A network of its own for all members: 20 ms there and back, as wide as it is told to be, and with losses, below the kernel's own TCP
//! and UDP.
//!
//! In a network namespace a TUN device takes what is sent to [`FAR`] and gives it back as if `FAR` had sent it to [`NEAR`]: all members
//! listen at `NEAR`, and look for each other at `FAR`. No check sum changes, since only two addresses are swapped. The namespace has no
//! loopback, so there is no way around. How wide it is, the kernel's `tbf` sees to. It needs `unshare`, `tc` and `/dev/net/tun`.

use std::{
    env, fs, io,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tappers::{AddAddressV4, Tun};

use crate::Outcome;

/// Where all members listen.
pub(crate) const NEAR: IpAddr = IpAddr::V4(NEAR_V4);
/// Where they look for each other.
pub(crate) const FAR: IpAddr = IpAddr::V4(FAR_V4);
/// How long a packet takes one way.
const DELAY: Duration = Duration::from_millis(10);

/// What a link is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// All that all send goes through 100 Mbit/s; what would wait for longer than 10 ms is dropped.
    Narrow,
    /// One packet in a hundred is lost.
    Lossy,
}

impl Link {
    pub(crate) const ALL: [Self; 2] = [Self::Narrow, Self::Lossy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Lossy => "lossy",
        }
    }

    const fn lost_of_a_hundred(self) -> u64 {
        match self {
            Self::Narrow => 0,
            Self::Lossy => 1,
        }
    }
}

/// What tells this program that it is where the link is.
pub(crate) const CARRIED: &str = "carried";

/// Runs this program with these arguments in a namespace with such a link.
pub(crate) fn run(link: Link, args: &[String]) -> Outcome<()> {
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(env::current_exe()?)
        .args([CARRIED, link.name()])
        .args(args)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("in a network namespace: {status}").into())
    }
}

/// In a new namespace: makes the link. It lives as long as the process.
pub(crate) fn make(link: Link) -> Outcome<()> {
    let mut tun = Tun::new()?;
    let mut address = AddAddressV4::new(NEAR_V4);
    address.set_netmask(24);
    tun.add_addr(address)?;
    tun.set_up()?;
    // As QUIC has it here; where that is not allowed, it is the kernel's own choice.
    let _ = fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "cubic");
    if link == Link::Narrow {
        let name = tun.name()?.name().to_string_lossy().into_owned();
        let shape = "root tbf rate 100mbit burst 32kb latency 10ms";
        let status = Command::new("tc")
            .env(
                "PATH",
                format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()),
            )
            .args(["qdisc", "replace", "dev", &name])
            .args(shape.split(' '))
            .status()?;
        if !status.success() {
            return Err(format!("tc qdisc: {status}").into());
        }
    }
    let tun = Arc::new(tun);
    let (taken, to_give) = mpsc::channel();
    // Both threads end with the process.
    thread::spawn({
        let tun = Arc::clone(&tun);
        move || take(&tun, link.lost_of_a_hundred(), &taken)
    });
    thread::spawn(move || give(&tun, &to_give));
    Ok(())
}

/// Takes packets from the kernel, loses some, and leaves the others until they are due.
fn take(tun: &Tun, lost: u64, taken: &mpsc::Sender<(Instant, Vec<u8>)>) -> io::Result<()> {
    let (mut packet, mut dice) = ([0; MAX_PACKET_BYTES], Dice(SEED));
    loop {
        let bytes = tun.recv(&mut packet)?;
        let due = Instant::now() + DELAY;
        let Some(packet) = packet.get(..bytes) else {
            continue;
        };
        if let Some(turned) = turn(packet)
            && dice.roll() % 100 >= lost
            && taken.send((due, turned)).is_err()
        {
            return Ok(());
        }
    }
}

/// Gives packets back to the kernel when they are due.
fn give(tun: &Tun, to_give: &mpsc::Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, packet)) = to_give.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // What the kernel does not take is lost, as packets are.
        let _ = tun.send(&packet);
    }
}

/// The packet with its two addresses swapped, if it is one between both ends.
fn turn(packet: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = (packet.get(12..16)?, packet.get(16..20)?);
    let is_ours = packet[0] >> 4 == 4 && from == NEAR_V4.octets() && to == FAR_V4.octets();
    is_ours.then(|| [&packet[..12], to, from, &packet[20..]].concat())
}

/// Decides what is lost: SplitMix64, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

const NEAR_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FAR_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const SEED: u64 = 1;
const MAX_PACKET_BYTES: usize = 65_536;
