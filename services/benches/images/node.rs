//! What the processes do: nodes with the image service, and with bare iroh-blobs.

use std::{io::Write as _, path::Path, pin::pin, sync::Arc, time::Instant};

use blixard_rpc::{
    Channel, Memory, Router,
    transport::iroh::{ALPN, IrohServer, SecretKey, bind, presets},
};
use blixard_services::image::{
    self, GetEvent, ImageConfig, ImageFormat, ImageHost, Images as _, ImagesClient, Provider,
    ShareEvent,
};
use futures_util::StreamExt as _;
use iroh::{Endpoint, EndpointAddr, EndpointId, TransportAddr, protocol};
use iroh_blobs::{
    BlobFormat, BlobsProtocol, Hash,
    api::{
        blobs::{AddPathOptions, ImportMode},
        remote::GetProgressItem,
    },
    store::fs::FsStore,
};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

use super::Outcome;

enum Kind {
    Ours(ImagesClient),
    Bare(FsStore),
}

/// Does what lines of the standard input say, and says what came of it.
pub(super) fn run(kind: &str, folder: &Path) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(kind, folder))
}

async fn serve(kind: &str, folder: &Path) -> Outcome<()> {
    let endpoint = bind(presets::Minimal, SecretKey::generate()).await?;
    let router = protocol::Router::builder(endpoint.clone());
    let (kind, _serving) = if kind == "bare" {
        let store = FsStore::load(folder.join("cache")).await?;
        let protocol = BlobsProtocol::new(&store, None);
        let serving = router.accept(image::ALPN, protocol).spawn();
        (Kind::Bare(store), serving)
    } else {
        let mut config = ImageConfig::new(folder).readers(|_| true);
        config.keep_free_bytes = 0;
        let host = ImageHost::open(config, endpoint.clone()).await?;
        let calls = Router::new().add(host.server());
        let serving = router
            .accept(ALPN, IrohServer::new(calls.clone()))
            .accept(image::ALPN, host.protocol())
            .spawn();
        let images = ImagesClient::new(Channel::new(Memory::new(calls)));
        (Kind::Ours(images), serving)
    };
    let address = endpoint.addr();
    let ip = address.addrs.iter().find_map(|it| match it {
        TransportAddr::Ip(ip) if ip.ip().is_loopback() || ip.is_ipv4() => Some(*ip),
        _ => None,
    });
    say(format_args!(
        "ready {} {}",
        address.id,
        ip.ok_or("there is no address")?
    ));
    let kind = Arc::new(kind);
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["share"] => {
                let begun = Instant::now();
                let hash = share(&kind, folder).await?;
                say(format_args!(
                    "shared {hash} {}",
                    begun.elapsed().as_secs_f64()
                ));
            }
            ["get", hash, ref from @ ..] => {
                let from = from
                    .iter()
                    .map(|it| named(it))
                    .collect::<Outcome<Vec<_>>>()?;
                let begun = Instant::now();
                let received = get(&kind, &endpoint, hash, from).await?;
                say(format_args!(
                    "got {} {received}",
                    begun.elapsed().as_secs_f64()
                ));
            }
            ["sent"] => {
                let sent = &endpoint.metrics().socket;
                let sent = sent.send_ipv4.get() + sent.send_ipv6.get();
                say(format_args!("sent {sent}"));
            }
            _ => return Err(format!("what is {line:?}?").into()),
        }
    }
    Ok(())
}

async fn share(kind: &Kind, folder: &Path) -> Outcome<String> {
    match kind {
        Kind::Bare(store) => {
            let options = AddPathOptions {
                path: folder.join("images/image").canonicalize()?,
                format: BlobFormat::Raw,
                mode: ImportMode::TryReference,
            };
            let tag = store.blobs().add_path_with_opts(options).await?;
            Ok(tag.hash.to_hex())
        }
        Kind::Ours(images) => {
            let (name, file) = ("image".into(), "image".into());
            let mut events = images
                .share(name, file, ImageFormat::Raw, Vec::new())
                .await?;
            while let Some(event) = events.next().await {
                if let ShareEvent::Done(done) = event?.event {
                    return Ok(done.image.hash);
                }
            }
            Err("it ended without an end".into())
        }
    }
}

/// Returns what was received.
async fn get(
    kind: &Kind,
    endpoint: &Endpoint,
    hash: &str,
    from: Vec<EndpointAddr>,
) -> Outcome<u64> {
    match kind {
        Kind::Bare(store) => {
            let hash: Hash = hash.parse()?;
            let connection = endpoint.connect(from[0].clone(), image::ALPN).await?;
            let mut items = pin!(store.remote().fetch(connection, hash).stream());
            while let Some(item) = items.next().await {
                match item {
                    GetProgressItem::Done(stats) => return Ok(stats.payload_bytes_read),
                    GetProgressItem::Error(error) => return Err(format!("{error:#}").into()),
                    GetProgressItem::Progress(_) => {}
                }
            }
            Err("it ended without an end".into())
        }
        Kind::Ours(images) => {
            let providers = from.iter().map(|it| Provider {
                key: it
                    .id
                    .as_bytes()
                    .iter()
                    .map(|it| format!("{it:02x}"))
                    .collect(),
                addresses: it.ip_addrs().map(ToString::to_string).collect(),
                relay: String::new(),
            });
            let providers = providers.collect();
            let (name, hash) = ("copy".into(), hash.into());
            let mut events = images.get(name, hash, ImageFormat::Raw, providers).await?;
            let mut received = 0;
            while let Some(event) = events.next().await {
                match event?.event {
                    GetEvent::Progress(progress) => {
                        say(format_args!("at {}", progress.done_bytes));
                        received = progress.sources.iter().map(|it| it.received_bytes).sum();
                    }
                    GetEvent::Done(_) => return Ok(received),
                    GetEvent::Unknown => {}
                }
            }
            Err("it ended without an end".into())
        }
    }
}

/// A key and an address, as processes name themselves.
fn named(name: &str) -> Outcome<EndpointAddr> {
    let (key, address) = name.split_once('@').ok_or("it has no address")?;
    let key: EndpointId = key.parse()?;
    Ok(EndpointAddr::new(key).with_ip_addr(address.parse()?))
}

fn say(line: std::fmt::Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    // Who has ended hears nothing.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
