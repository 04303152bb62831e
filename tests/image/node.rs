//! Nodes with images, in this process and in others, and what is asked of them.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    process::{Child, Command, Stdio},
    time::Duration,
};

use blixard_rpc::{
    Channel, Memory, Pool, Result, Router, Streaming,
    transport::{
        grpc::GrpcConnector,
        iroh::{ALPN, IrohPeer, IrohServer, SecretKey},
    },
};
use blixard_services::image::{
    self, Done, GetEvent, GetResponse, ImageConfig, ImageFormat, ImageHost, Images, ImagesClient,
    Progress, Provider, ShareEvent,
};
use blixard_tests::{folder::Folder, net::endpoint_of};
use iroh::{EndpointAddr, TransportAddr, protocol::Router as Protocols};

pub(crate) const MIB: usize = 1 << 20;

/// A node in this process.
pub(crate) struct Node {
    pub(crate) host: ImageHost,
    /// Calls of its own process.
    pub(crate) images: ImagesClient,
    pub(crate) protocols: Protocols,
    pub(crate) folder: Folder,
}

impl Node {
    /// One that gives to everybody.
    pub(crate) async fn new() -> Self {
        Self::with(|config| config.readers(|_| true)).await
    }

    pub(crate) async fn with(edit: impl FnOnce(ImageConfig) -> ImageConfig) -> Self {
        Self::at(Folder::new("image"), SecretKey::generate(), edit).await
    }

    pub(crate) async fn at(
        folder: Folder,
        key: SecretKey,
        edit: impl FnOnce(ImageConfig) -> ImageConfig,
    ) -> Self {
        let endpoint = endpoint_of(key).await;
        let mut config = ImageConfig::new(folder.path());
        config.keep_free_bytes = 0;
        let host = ImageHost::open(edit(config), endpoint.clone())
            .await
            .unwrap();
        let router = Router::new().add(host.server());
        let protocols = Protocols::builder(endpoint)
            .accept(ALPN, IrohServer::new(router.clone()))
            .accept(image::ALPN, host.protocol())
            .spawn();
        Self {
            host,
            images: ImagesClient::new(Channel::new(Memory::new(router))),
            protocols,
            folder,
        }
    }

    /// Ends it, as a daemon that is told to; its folder stays.
    pub(crate) async fn end(self) -> Folder {
        self.protocols.shutdown().await.unwrap();
        self.host.close().await;
        self.folder
    }

    pub(crate) fn provider(&self) -> Provider {
        self.host.provider()
    }

    pub(crate) fn key(&self) -> String {
        self.provider().key
    }

    /// Writes a file among its images.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("images").join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a raw image, and shares it.
    pub(crate) async fn has(&self, name: &str, content: &[u8]) -> String {
        self.write(name, content);
        let done = self.share(name, name).await.unwrap();
        assert!(done.changed);
        done.image.hash
    }

    pub(crate) async fn share(&self, name: &str, file: &str) -> Result<Done> {
        share(&self.images, name, file, ImageFormat::Raw, &[]).await
    }

    pub(crate) async fn get(
        &self,
        name: &str,
        hash: &str,
        providers: &[Provider],
    ) -> Result<(Done, Progress)> {
        let got = self.images.get(
            name.into(),
            hash.into(),
            ImageFormat::Raw,
            providers.to_vec(),
        );
        finish(got.await?).await
    }

    /// What its cache takes on disk.
    pub(crate) fn cache_bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let mut bytes = 0;
        let mut open = vec![self.folder.path().join("cache/contents/data")];
        open.push(self.folder.path().join("cache/contents/temp"));
        for folder in open {
            for entry in fs::read_dir(folder).unwrap() {
                bytes += entry.unwrap().metadata().unwrap().blocks() * 512;
            }
        }
        bytes
    }
}

pub(crate) async fn share(
    images: &ImagesClient,
    name: &str,
    file: &str,
    format: ImageFormat,
    readers: &[String],
) -> Result<Done> {
    let shared = images.share(name.into(), file.into(), format, readers.to_vec());
    let mut events = shared.await?;
    let mut done = None;
    while let Some(event) = events.next().await {
        match event?.event {
            ShareEvent::Progress(progress) => assert!(progress.done_bytes <= progress.total_bytes),
            ShareEvent::Done(it) => done = Some(it),
            ShareEvent::Unknown => panic!("not an old client"),
        }
    }
    Ok(done.expect("it ends with what was done"))
}

/// What came of it, and what was said last before.
pub(crate) async fn finish(mut events: Streaming<GetResponse>) -> Result<(Done, Progress)> {
    let mut last = Progress::default();
    let mut done = None;
    while let Some(event) = events.next().await {
        assert!(done.is_none(), "nothing comes after the end");
        match event?.event {
            GetEvent::Progress(progress) => {
                assert!(progress.done_bytes <= progress.total_bytes);
                last = progress;
            }
            GetEvent::Done(it) => done = Some(it),
            GetEvent::Unknown => panic!("not an old client"),
        }
    }
    Ok((done.expect("it ends with what was done"), last))
}

/// Waits until so much has come.
pub(crate) async fn until(events: &mut Streaming<GetResponse>, bytes: u64) -> Progress {
    loop {
        match events.next().await.unwrap().unwrap().event {
            GetEvent::Progress(progress) if progress.done_bytes >= bytes => return progress,
            GetEvent::Progress(_) => {}
            other => panic!("it was over before: {other:?}"),
        }
    }
}

/// Content of this length that nothing compresses, and that only this seed makes.
pub(crate) fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        content.extend_from_slice(&(mixed ^ mixed >> 27).to_le_bytes());
    }
    content.truncate(bytes);
    content
}

/// A node in a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) peer: IrohPeer,
    pub(crate) images: ImagesClient,
}

impl Process {
    pub(crate) fn begin(folder: &Folder, key: &SecretKey) -> Self {
        Self::begin_by(Command::new("env"), folder, key)
    }

    /// By a program that becomes the one that its last arguments name.
    pub(crate) fn begin_by(mut program: Command, folder: &Folder, key: &SecretKey) -> Self {
        let key: String = key
            .to_bytes()
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect();
        let mut child = program
            .arg(env!("CARGO_BIN_EXE_peer"))
            .arg("images")
            .arg(folder.path())
            .arg(key)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let (ticket, address) = line.trim().split_once(' ').unwrap();
        let address: SocketAddr = address.parse().unwrap();
        let channel = Pool::new(GrpcConnector::new()).channel(address.into());
        Self {
            child,
            peer: ticket.parse().unwrap(),
            images: ImagesClient::new(Channel::new(channel)),
        }
    }

    pub(crate) fn provider(&self) -> Provider {
        provider(self.peer.address())
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A node, as others name it when they fetch from it.
pub(crate) fn provider(address: &EndpointAddr) -> Provider {
    let ips = address.addrs.iter().filter_map(|it| match it {
        TransportAddr::Ip(ip) => Some(ip.to_string()),
        _ => None,
    });
    Provider {
        key: hex(address.id.as_bytes()),
        addresses: ips.collect(),
        relay: String::new(),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// What `future` resolves to, within two minutes: what moves much takes its time on a machine that is busy. Time in which this process
/// stood still does not count.
#[track_caller]
pub(crate) fn in_time<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let mut future = pin!(future);
        for _ in 0..120 {
            if let Ok(value) = tokio::time::timeout(Duration::from_secs(1), &mut future).await {
                return value;
            }
        }
        panic!("nothing came within two minutes at {caller}");
    }
}
