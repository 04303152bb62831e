//! A network for a cluster: a namespace for each node, all joined by this one, which passes on what it is told to. What it drops, it counts.

use std::{
    env,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
};

/// Runs the test of this name again in namespaces of its own, and is `true` there. Otherwise it is `false`, and the test has passed
/// there, or was skipped, which is said.
///
/// # Panics
/// If it fails there; or if it cannot run there, and `CI` is set: there a test that does not run is one that fails.
pub(crate) fn enter(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    // Root of the machine, or of a namespace of users: either may make the others.
    let ways: [&[&str]; 2] = [
        &["--net", "--mount"],
        &["--user", "--map-root-user", "--net", "--mount"],
    ];
    let works = |way: &&&[&str]| {
        let script = "mount -t tmpfs none /run && ip netns add x && nft list tables";
        tool("unshare")
            .args(**way)
            .args(["sh", "-c", script])
            .stdout(Stdio::null())
            .output()
    };
    let mut why = String::new();
    let way = ways.iter().find(|way| match works(way) {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            false
        }
        Err(error) => {
            why = error.to_string();
            false
        }
    });
    let Some(way) = way else {
        let skipped = format!(
            "skipped: there can be no network namespaces with iproute2 and nftables here: {why}"
        );
        assert!(env::var_os("CI").is_none(), "{skipped}");
        // The harness swallows what a passing test prints by `println!`.
        let _ = io::stderr().write_all(format!("{skipped}\n").as_bytes());
        return false;
    };
    let status = tool("unshare")
        .args(*way)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "it failed in its namespaces: {status}");
    false
}

/// The network. It goes with the process.
#[derive(Debug)]
pub(crate) struct Space {
    nodes: u64,
}

/// What is dropped on its way between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drop {
    /// What one sends to another.
    From(u64, u64),
    /// All that is UDP.
    Udp,
    /// So many of a hundred packets.
    Share(u64),
}

impl Space {
    /// So many nodes, each at an address of its own.
    ///
    /// # Panics
    /// If this process is not in namespaces of its own.
    pub(crate) fn new(nodes: u64) -> Self {
        assert!(
            env::var_os(INSIDE).is_some(),
            "this would be the network of the machine"
        );
        run("mount", "-t tmpfs none /run");
        run("ip", "link set lo up");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        for id in 1..=nodes {
            let (name, here, there) = (name(id), address(id, 1), address(id, 2));
            run("ip", &format!("netns add {name}"));
            run(
                "ip",
                &format!("link add v{id} type veth peer name eth0 netns {name}"),
            );
            run("ip", &format!("address add {here}/24 dev v{id}"));
            run("ip", &format!("link set v{id} up"));
            run("ip", &format!("-n {name} address add {there}/24 dev eth0"));
            run("ip", &format!("-n {name} link set lo up"));
            run("ip", &format!("-n {name} link set eth0 up"));
            run("ip", &format!("-n {name} route add default via {here}"));
        }
        run("nft", "add table inet faults");
        run(
            "nft",
            "add chain inet faults forward { type filter hook forward priority 0 ; policy accept ; }",
        );
        Self { nodes }
    }

    /// Where each node listens for iroh and for gRPC.
    pub(crate) fn addresses(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let at = |id, port| SocketAddr::from((address(id, 2), port));
        (1..=self.nodes)
            .map(|id| (at(id, 7001), at(id, 7002)))
            .collect()
    }

    /// The command that runs a node in its namespace; folder and number are appended.
    pub(crate) fn command(&self, node: &str) -> Vec<String> {
        let script = format!("PATH=$PATH:{SBIN}; exec ip netns exec \"node$2\" {node} \"$@\"");
        ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    }

    /// Drops these from now on, and nothing else.
    pub(crate) fn set(&self, drops: &[Drop]) {
        let mut script = "flush chain inet faults forward\n".to_owned();
        for dropped in drops {
            let what = match dropped {
                Drop::From(from, to) => format!(
                    "ip saddr {} ip daddr {}",
                    address(*from, 2),
                    address(*to, 2)
                ),
                Drop::Udp => "meta l4proto udp".to_owned(),
                Drop::Share(percent) => format!("numgen random mod 100 < {percent}"),
            };
            script += &format!("add rule inet faults forward {what} counter drop\n");
        }
        let mut nft = tool("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(nft.wait().unwrap().success(), "{script}");
    }

    /// How many packets were dropped since the last [`set`](Self::set).
    pub(crate) fn dropped(&self) -> u64 {
        let rules = run("nft", "list chain inet faults forward");
        let counts = rules.split("counter packets ").skip(1);
        counts
            .map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Loses nothing any more; how many packets were dropped.
    pub(crate) fn heal(&self) -> u64 {
        let dropped = self.dropped();
        self.set(&[]);
        dropped
    }
}

fn name(id: u64) -> String {
    format!("node{id}")
}

fn address(node: u64, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, u8::try_from(node).unwrap(), host)
}

/// A command that may lie where only root looks.
fn tool(name: &str) -> Command {
    let found = SBIN
        .split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|it| it.exists());
    let mut command = Command::new(found.unwrap_or_else(|| name.into()));
    command.env(
        "PATH",
        format!("{}:{SBIN}", env::var("PATH").unwrap_or_default()),
    );
    command
}

/// Runs it, and answers what it prints.
fn run(name: &str, arguments: &str) -> String {
    let output = tool(name).args(arguments.split(' ')).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

const INSIDE: &str = "RAFT_IN_NAMESPACES";
const SBIN: &str = "/usr/sbin:/sbin";
