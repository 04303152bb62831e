//! Whole nodes, each a process with all services: a cluster of them that moves from gRPC to iroh under load, and what they count.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

mod monitored;
mod moved;
mod refused;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use blixard_node::{
    init,
    status::{self, Admin},
};
use blixard_raft_cluster::{
    api::NodeClient, client::Client, layout::Layout, process::Processes, show::elected,
};
use blixard_tests::{folder::Folder, tools::root};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A cluster that runs, over gRPC alone.
struct Cluster {
    layout: Layout,
    processes: Processes,
    admin: Admin,
    client: Arc<Client>,
    folder: Folder,
}

impl Cluster {
    async fn start(name: &str, nodes: u64) -> Self {
        let folder = Folder::new(name);
        init::init(folder.path(), nodes).unwrap();
        let guest = root().join("services/guest/nano.elf");
        fs::copy(guest, folder.path().join("images/nano.elf")).unwrap();
        let layout = Layout::open(folder.path()).unwrap();
        let mut processes = Processes::new(vec![env!("CARGO_BIN_EXE_whole_node").to_owned()]);
        for member in &layout.members {
            processes.start(&layout, member.id).await.unwrap();
        }
        status::begin(folder.path()).await.unwrap();
        let admin = Admin::of(folder.path()).await.unwrap();
        let nodes = admin.channels.iter();
        let nodes = nodes.map(|(id, channel)| (*id, NodeClient::new(channel.clone())));
        let client = Arc::new(Client::of(nodes.collect()));
        elected(&client, None).await.unwrap();
        Self {
            layout,
            processes,
            admin,
            client,
            folder,
        }
    }

    fn file(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("node-{id}.toml"))
    }

    /// Says something else in a node's file, which the node does not read yet.
    fn write(&self, id: u64, change: impl FnOnce(String) -> String) {
        let file = self.file(id);
        let before = fs::read_to_string(&file).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "nothing was changed");
        fs::write(file, after).unwrap();
    }

    /// What a node says over HTTP.
    async fn get(&self, id: u64, path: &str) -> String {
        let text = fs::read_to_string(self.file(id)).unwrap();
        let address = text.split("metrics = \"").nth(1).unwrap();
        get(address.split('"').next().unwrap(), path).await
    }

    /// What a node counts.
    async fn metrics(&self, id: u64) -> String {
        self.get(id, "/metrics").await
    }

    /// One of the counts.
    async fn count(&self, id: u64, series: &str) -> u64 {
        let text = self.metrics(id).await;
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Has a node read its file again, and waits until it has.
    async fn reload(&self, id: u64, outcome: &str) {
        let series = format!("blixard_node_reloads_total{{outcome=\"{outcome}\"}}");
        let before = self.count(id, &series).await;
        self.processes.hang_up(id).await.unwrap();
        let read = async {
            while self.count(id, &series).await == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        patiently(read).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The nodes are killed, and their guests outlive them.
        let folder = self.folder.path().as_os_str().as_encoded_bytes();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let pid = entry.file_name().to_str().and_then(|it| it.parse().ok());
            let ours = words.windows(folder.len()).any(|it| it == folder);
            if let Some(pid) = pid.and_then(Pid::from_raw).filter(|_| ours) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// What a page says over HTTP.
async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn patiently<T>(work: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, work).await.unwrap()
}
