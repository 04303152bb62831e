//! Several who have an image: all give, and whoever dies, lies or knows nothing is left out.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use blixard_rpc::{Code, transport::iroh::SecretKey};
use blixard_services::image::{self, ImageFormat, Images, Provider, Source, SourceState};
use blixard_tests::{folder::Folder, net::endpoint};
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler, Router as Protocols},
};

use crate::node::{MIB, Node, Process, content, finish, in_time, provider, share, until};

fn of<'a>(sources: &'a [Source], key: &str) -> &'a Source {
    sources.iter().find(|it| it.key == key).unwrap()
}

#[tokio::test]
async fn two_give_together() {
    let (a, b, c) = (Node::new().await, Node::new().await, Node::new().await);
    let bytes = content(10, 64 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    in_time(b.has("base", &bytes)).await;
    let (_, progress) = in_time(c.get("copy", &hash, &[a.provider(), b.provider()]))
        .await
        .unwrap();
    let total: u64 = progress.sources.iter().map(|it| it.received_bytes).sum();
    assert!(total >= bytes.len() as u64, "{progress:?}");
    assert!(total <= bytes.len() as u64 + (128 << 10), "{progress:?}");
    assert_eq!(fs::read(c.host.file(&hash).await.unwrap()).unwrap(), bytes);
}

#[tokio::test]
async fn who_has_it_tells_of_others_who_have_it() {
    let (a, b, c) = (Node::new().await, Node::new().await, Node::new().await);
    let hash = in_time(a.has("base", &content(11, 24 * MIB))).await;
    in_time(b.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap();
    // It was told of a alone.
    let (_, progress) = in_time(c.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap();
    assert_eq!(
        of(&progress.sources, &b.key()).state,
        SourceState::Giving,
        "{progress:?}"
    );
}

#[tokio::test]
async fn when_a_provider_is_killed_another_goes_on() {
    let folder = Folder::new("image");
    let bytes = content(12, 128 * MIB);
    fs::create_dir_all(folder.path().join("images")).unwrap();
    fs::write(folder.path().join("images/base"), &bytes).unwrap();
    let mut dying = Process::begin(&folder, &SecretKey::generate());
    let shared = share(&dying.images, "base", "base", ImageFormat::Raw, &[]);
    let hash = in_time(shared).await.unwrap().image.hash;
    let getter = Node::new().await;
    let (kept, other) = (Node::new().await, [dying.provider()]);
    let got = getter.images.get(
        "copy".into(),
        hash.clone(),
        ImageFormat::Raw,
        other.to_vec(),
    );
    let mut events = in_time(got).await.unwrap();
    in_time(until(&mut events, 1)).await;
    dying.kill();
    drop(events);
    in_time(kept.has("base", &bytes)).await;
    let providers = [dying.provider(), kept.provider()];
    let (done, progress) = in_time(getter.get("copy", &hash, &providers))
        .await
        .unwrap();
    assert!(done.changed);
    assert_eq!(
        fs::read(getter.host.file(&hash).await.unwrap()).unwrap(),
        bytes
    );
    assert_eq!(
        of(&progress.sources, &kept.key()).state,
        SourceState::Giving
    );
    assert_ne!(
        of(&progress.sources, &dying.provider().key).state,
        SourceState::Giving,
        "{progress:?}"
    );
}

#[tokio::test]
async fn one_call_goes_on_when_one_of_two_is_killed_in_it() {
    let folder = Folder::new("image");
    let bytes = content(13, 128 * MIB);
    fs::create_dir_all(folder.path().join("images")).unwrap();
    fs::write(folder.path().join("images/base"), &bytes).unwrap();
    let mut dying = Process::begin(&folder, &SecretKey::generate());
    let shared = share(&dying.images, "base", "base", ImageFormat::Raw, &[]);
    let hash = in_time(shared).await.unwrap().image.hash;
    let (kept, getter) = (Node::new().await, Node::new().await);
    in_time(kept.has("base", &bytes)).await;
    let providers = vec![dying.provider(), kept.provider()];
    let got = getter
        .images
        .get("copy".into(), hash.clone(), ImageFormat::Raw, providers);
    let mut events = in_time(got).await.unwrap();
    in_time(until(&mut events, 1)).await;
    dying.kill();
    in_time(finish(events)).await.unwrap();
    assert_eq!(
        fs::read(getter.host.file(&hash).await.unwrap()).unwrap(),
        bytes
    );
}

/// Passes on what another gives, with a bit of it wrong.
#[derive(Clone, Debug)]
struct Liar {
    endpoint: Endpoint,
    honest: EndpointAddr,
    /// Where in each answer.
    at: usize,
    lies: Arc<AtomicU64>,
}

impl ProtocolHandler for Liar {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let honest = self
            .endpoint
            .connect(self.honest.clone(), image::ALPN)
            .await
            .unwrap();
        while let Ok((mut answer, mut asked)) = connection.accept_bi().await {
            let (honest, this) = (honest.clone(), self.clone());
            tokio::spawn(async move {
                let (mut ask, mut answered) = honest.open_bi().await.ok()?;
                ask.write_all(&asked.read_to_end(1 << 20).await.ok()?)
                    .await
                    .ok()?;
                ask.finish().ok()?;
                let mut passed = 0;
                while let Some(chunk) = answered.read_chunk(usize::MAX).await.ok()? {
                    let mut chunk = chunk.to_vec();
                    if (passed..passed + chunk.len()).contains(&this.at) {
                        chunk[this.at - passed] ^= 1;
                        this.lies.fetch_add(1, Ordering::SeqCst);
                    }
                    passed += chunk.len();
                    answer.write_all(&chunk).await.ok()?;
                }
                answer.finish().ok()
            });
        }
        Ok(())
    }
}

struct Lying {
    liar: Liar,
    protocols: Protocols,
}

impl Lying {
    async fn of(node: &Node, at: usize) -> Self {
        let endpoint = endpoint().await;
        let liar = Liar {
            endpoint: endpoint.clone(),
            honest: node.protocols.endpoint().addr(),
            at,
            lies: Arc::default(),
        };
        let protocols = Protocols::builder(endpoint)
            .accept(image::ALPN, liar.clone())
            .spawn();
        Self { liar, protocols }
    }

    fn provider(&self) -> Provider {
        provider(&self.protocols.endpoint().addr())
    }
}

#[tokio::test]
async fn what_a_liar_gives_is_refused_and_another_is_used() {
    let (a, b) = (Node::new().await, Node::new().await);
    let bytes = content(14, 32 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    // In a hash, in the content of the beginning, and in that of a piece.
    for (round, at) in [20, 40_000, 3 * MIB].into_iter().enumerate() {
        let lying = Lying::of(&a, at).await;
        let name = format!("copy{round}");
        // It is asked first, and alone.
        let status = in_time(b.get(&name, &hash, &[lying.provider()]))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(
            status.message().contains("not what was asked for"),
            "{status}"
        );
        assert!(lying.liar.lies.load(Ordering::SeqCst) > 0);

        let providers = [lying.provider(), a.provider()];
        let (_, progress) = in_time(b.get(&name, &hash, &providers)).await.unwrap();
        assert_eq!(
            fs::read(b.host.file(&hash).await.unwrap()).unwrap(),
            bytes,
            "{progress:?}"
        );
        b.images.remove(name, String::new()).await.unwrap_err();
        // Nobody uses it for a minute: so another node comes next.
        drop(lying);
        if round == 0 {
            break;
        }
    }
}

#[tokio::test]
async fn what_nobody_has_is_not_found_and_leaves_nothing() {
    let (a, b, c) = (Node::new().await, Node::new().await, Node::new().await);
    let hash = "5".repeat(64);
    let status = in_time(c.get("copy", &hash, &[a.provider(), b.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert!(
        status.message().contains("none of 2 nodes has the image"),
        "{status}"
    );
    // Nobody is asked, or this node alone.
    for providers in [vec![], vec![c.provider()]] {
        let status = in_time(c.get("copy", &hash, &providers)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(c.images.list(String::new()).await.unwrap().images, []);
    assert_eq!(c.cache_bytes(), 0);
}

#[tokio::test]
async fn two_callers_share_one_fetch_and_it_ends_with_the_last() {
    let (a, b) = (Node::new().await, Node::new().await);
    let bytes = content(15, 96 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    let get = |name: &str| {
        b.images.get(
            name.into(),
            hash.clone(),
            ImageFormat::Raw,
            vec![a.provider()],
        )
    };
    let (mut one, mut two) = (get("one").await.unwrap(), get("two").await.unwrap());
    in_time(until(&mut one, 1)).await;
    drop(one);
    // The other goes on.
    in_time(until(&mut two, 16 * MIB as u64)).await;
    let (done, progress) = in_time(finish(two)).await.unwrap();
    assert_eq!(done.image.name, "two");
    let received: u64 = progress.sources.iter().map(|it| it.received_bytes).sum();
    assert!(received <= bytes.len() as u64 + (128 << 10), "{progress:?}");
}
