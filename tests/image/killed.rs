//! A node that is killed while it fetches goes on from where it was.

use std::{fs, os::unix::fs::MetadataExt as _};

use blixard_rpc::transport::iroh::SecretKey;
use blixard_services::image::{ImageFormat, ImageState, Images, SourceState};
use blixard_tests::folder::Folder;

use crate::node::{MIB, Node, Process, content, finish, in_time, until};

#[tokio::test]
async fn what_has_come_is_not_fetched_again_after_a_kill() {
    let a = Node::new().await;
    let bytes = content(20, 160 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    let (folder, key) = (Folder::new("image"), SecretKey::generate());
    let mut here = 0;
    for _ in 0..2 {
        let mut getter = Process::begin(&folder, &key);
        let got = getter.images.get(
            "copy".into(),
            hash.clone(),
            ImageFormat::Raw,
            vec![a.provider()],
        );
        let mut events = in_time(got).await.unwrap();
        let progress = in_time(until(&mut events, here + 24 * MIB as u64)).await;
        getter.kill();
        // What was here before was not fetched again.
        let received: u64 = progress.sources.iter().map(|it| it.received_bytes).sum();
        assert!(
            progress.done_bytes + (16 * MIB as u64) >= here + received,
            "{progress:?}"
        );
        let data = folder
            .path()
            .join(format!("cache/contents/data/{hash}.data"));
        here = fs::metadata(data).unwrap().blocks() * 512;
        assert!(
            here < bytes.len() as u64,
            "it was over before it was killed"
        );
    }
    let mut getter = Process::begin(&folder, &key);
    let image = getter.images.describe("copy".into()).await.unwrap().image;
    assert_eq!(image.state, ImageState::Partial);
    let got = getter.images.get(
        "copy".into(),
        hash.clone(),
        ImageFormat::Raw,
        vec![a.provider()],
    );
    let (done, progress) = in_time(async { finish(got.await?).await }).await.unwrap();
    assert_eq!(done.image.state, ImageState::Ready);
    let received: u64 = progress.sources.iter().map(|it| it.received_bytes).sum();
    assert!(
        received <= bytes.len() as u64 - here + 16 * MIB as u64,
        "{here} were here: {progress:?}"
    );
    assert_eq!(progress.sources[0].state, SourceState::Giving);

    // What was acknowledged is there, whatever comes.
    getter.kill();
    let getter = Process::begin(&folder, &key);
    let image = getter.images.describe("copy".into()).await.unwrap().image;
    assert_eq!(image.state, ImageState::Ready);
    let file = folder
        .path()
        .join(format!("cache/contents/data/{hash}.data"));
    assert_eq!(fs::read(file).unwrap(), bytes);
}

#[tokio::test]
async fn a_share_that_is_killed_leaves_nothing_and_one_that_is_done_stays() {
    let (folder, key) = (Folder::new("image"), SecretKey::generate());
    fs::create_dir_all(folder.path().join("images")).unwrap();
    fs::write(folder.path().join("images/big"), content(21, 96 * MIB)).unwrap();
    fs::write(folder.path().join("images/small"), content(22, MIB)).unwrap();
    let mut node = Process::begin(&folder, &key);
    let small = crate::node::share(&node.images, "small", "small", ImageFormat::Raw, &[]);
    in_time(small).await.unwrap();
    let events = node
        .images
        .share("big".into(), "big".into(), ImageFormat::Raw, vec![]);
    let _events = in_time(events).await.unwrap();
    node.kill();
    let node = Process::begin(&folder, &key);
    let list = node.images.list(String::new()).await.unwrap().images;
    // It may have been done in time; what is there is whole.
    assert!(
        list.iter().all(|it| it.state == ImageState::Ready),
        "{list:?}"
    );
    assert!(list.iter().any(|it| it.name == "small"));
    assert_eq!(
        fs::read_dir(folder.path().join("cache/contents/temp"))
            .unwrap()
            .count(),
        0
    );
}
