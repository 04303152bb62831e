//! A link of 20 ms that loses one packet in a hundred, below the kernel's own TCP and UDP.
//!
//! In a network namespace of its own, a TUN device takes what is sent to [`FAR`] and gives it back as if `FAR` had sent it to [`NEAR`]:
//! both ends are the same host, and no check sum changes, since only two addresses are swapped. The namespace has no loopback, so
//! there is no way around. It needs `unshare`, and `/dev/net/tun`.

use std::{
    env, fs, io,
    net::{IpAddr, Ipv4Addr},
    process::{Command, ExitStatus},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tappers::{AddAddressV4, Netmask, Tun};

use crate::{Outcome, net::Net};

/// Where both ends are.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Where clients look for servers.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// How long a packet takes one way.
const DELAY: Duration = Duration::from_millis(10);
/// One packet in so many is lost, each way.
const LOST_OF: u64 = 100;

impl Net {
    /// Over the link.
    pub(crate) const LINK: Self = Self {
        own: IpAddr::V4(NEAR),
        seen: IpAddr::V4(FAR),
    };
}

/// Runs this program with these arguments at both ends of a link.
pub(crate) fn run(args: &[&str]) -> Outcome<()> {
    over(in_namespace(args)?.status()?)
}

/// Why there is no link on this machine, if there is none.
pub(crate) fn missing() -> Option<String> {
    let output = in_namespace(&[]).and_then(|mut command| Ok(command.output()?));
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

fn in_namespace(args: &[&str]) -> Outcome<Command> {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(env::current_exe()?)
        .arg("carry")
        .args(args);
    Ok(command)
}

/// What tells a program that it is where the link is.
pub(crate) const CARRIED: &str = "--carried";

/// In a new namespace: makes the link, and runs this program with these arguments, if there are any, as long as that takes.
pub(crate) fn carry(args: &[&str]) -> Outcome<()> {
    let mut tun = Tun::new()?;
    let mut address = AddAddressV4::new(NEAR);
    address.set_netmask(NET_BITS);
    tun.add_addr(address)?;
    tun.set_up()?;
    // As QUIC has it here. Where that is not allowed, the kernel's own choice is told beside the figures.
    let _ = fs::write(CONGESTION_CONTROL, "cubic");
    let tun = Arc::new(tun);
    let (taken, to_give) = mpsc::channel();
    // Both threads end with the process.
    thread::spawn({
        let tun = Arc::clone(&tun);
        move || take(&tun, &taken)
    });
    thread::spawn(move || give(&tun, &to_give));
    if args.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    over(command.args(args).arg(CARRIED).status()?)
}

/// How TCP notices that the link is full.
pub(crate) fn tcp() -> Outcome<String> {
    Ok(fs::read_to_string(CONGESTION_CONTROL)?.trim().to_owned())
}

fn over(status: ExitStatus) -> Outcome<()> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("over the link: {status}").into())
    }
}

/// Takes packets from the kernel, loses some, and leaves the others until they are due.
fn take(tun: &Tun, taken: &mpsc::Sender<(Instant, Vec<u8>)>) -> io::Result<()> {
    let (mut packet, mut dice) = ([0; MAX_PACKET_BYTES], Dice(SEED));
    loop {
        let bytes = tun.recv(&mut packet)?;
        let due = Instant::now() + DELAY;
        let Some(packet) = packet.get(..bytes) else {
            continue;
        };
        if let Some(turned) = turn(packet)
            && dice.roll() % LOST_OF != 0
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
    let is_ours = packet[0] >> 4 == 4 && from == NEAR.octets() && to == FAR.octets();
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

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const SEED: u64 = 1;
const MAX_PACKET_BYTES: usize = 65_536;
const NET_BITS: Netmask = 24;
