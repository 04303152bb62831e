//! What is shared stays where it is, and comes to others as it was.

use std::fs;

use blixard_rpc::Code;
use blixard_services::image::{ImageFormat, ImageState, Images};

use crate::node::{MIB, Node, content, in_time, share};

#[tokio::test]
async fn what_is_shared_comes_to_others_and_nothing_is_copied() {
    let (a, b) = (Node::new().await, Node::new().await);
    let bytes = content(1, 9 * MIB + 17);
    let hash = in_time(a.has("base", &bytes)).await;
    assert_eq!(hash, blake3::hash(&bytes).to_hex().as_str());
    // 64 bytes for each 16 KiB, and what a file system rounds up to.
    assert!(a.cache_bytes() < 64 << 10, "{}", a.cache_bytes());
    let described = a.images.describe("base".into()).await.unwrap().image;
    assert_eq!(described.state, ImageState::Ready);
    assert_eq!(described.file, "base");
    assert_eq!(described.size_bytes, bytes.len() as u64);

    let (done, progress) = in_time(b.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap();
    assert!(done.changed);
    assert_eq!(done.image.state, ImageState::Ready);
    assert_eq!(done.image.here_bytes, bytes.len() as u64);
    assert_eq!(done.image.file, "");
    assert_eq!(progress.total_bytes, bytes.len() as u64);
    let file = b.host.file(&hash).await.unwrap();
    assert_eq!(fs::read(file).unwrap(), bytes);
    assert!(b.cache_bytes() < bytes.len() as u64 + (64 << 10));

    // Again, and under another name: it is there.
    let (done, _) = in_time(b.get("copy", &hash, &[])).await.unwrap();
    assert!(!done.changed);
    let (done, _) = in_time(b.get("other", &hash, &[])).await.unwrap();
    assert!(done.changed);
    let again = in_time(a.share("base", "base")).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.image.hash, hash);

    let list = b.images.list(String::new()).await.unwrap();
    let names: Vec<_> = list.images.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["copy", "other"]);
    assert_eq!(list.cached_bytes, bytes.len() as u64);
}

#[tokio::test]
async fn records_and_contents_survive_the_end_of_the_daemon() {
    let (a, b) = (Node::new().await, Node::new().await);
    let bytes = content(2, 5 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    in_time(b.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap();
    let keys = [
        a.protocols.endpoint().secret_key().clone(),
        b.protocols.endpoint().secret_key().clone(),
    ];
    let folders = [in_time(a.end()).await, in_time(b.end()).await];
    let [key_a, key_b] = keys;
    let [folder_a, folder_b] = folders;
    let a = in_time(Node::at(folder_a, key_a, |config| config.readers(|_| true))).await;
    let b = in_time(Node::at(folder_b, key_b, |config| config.readers(|_| true))).await;
    for (node, name) in [(&a, "base"), (&b, "copy")] {
        let image = node.images.describe(name.into()).await.unwrap().image;
        assert_eq!(image.state, ImageState::Ready);
        assert_eq!(image.hash, hash);
        let file = node.host.file(&hash).await.unwrap();
        assert_eq!(fs::read(file).unwrap(), bytes);
    }
    // From either, to a third.
    let c = Node::new().await;
    in_time(c.get("third", &hash, &[a.provider(), b.provider()]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_that_changed_is_given_to_nobody_until_it_is_shared_again() {
    let (a, b) = (Node::new().await, Node::new().await);
    let mut bytes = content(3, 6 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    bytes[5 * MIB] ^= 1;
    a.write("base", &bytes);
    let image = a.images.describe("base".into()).await.unwrap().image;
    assert_eq!(image.state, ImageState::Changed);
    let status = a.host.file(&hash).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("share it again"), "{status}");
    let status = in_time(b.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert!(status.message().contains("not what was shared"), "{status}");
    assert_eq!(b.images.list(String::new()).await.unwrap().images, []);

    // Another content is another image.
    let status = in_time(a.share("base", "base")).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    // The same content again is the same image.
    bytes[5 * MIB] ^= 1;
    a.write("base", &bytes);
    let done = in_time(a.share("base", "base")).await.unwrap();
    assert_eq!(
        (done.image.hash.as_str(), done.image.state),
        (&*hash, ImageState::Ready)
    );
    in_time(b.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap();

    // And a file that is gone is none.
    fs::remove_file(a.folder.path().join("images/base")).unwrap();
    let image = a.images.describe("base".into()).await.unwrap().image;
    assert_eq!(image.state, ImageState::Changed);
    // What was fetched needs no file: the name stays on b.
    assert!(b.host.file(&hash).await.is_ok());
}

#[tokio::test]
async fn a_name_is_removed_and_the_file_that_was_shared_stays() {
    let (a, b) = (Node::new().await, Node::new().await);
    let bytes = content(4, 5 * MIB);
    let hash = in_time(a.has("base", &bytes)).await;
    in_time(b.get("one", &hash, &[a.provider()])).await.unwrap();
    in_time(b.get("two", &hash, &[])).await.unwrap();
    let remove = |name: &str, hash: &str| b.images.remove(name.into(), hash.into());
    let status = remove("one", &"0".repeat(64)).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    assert!(remove("one", &hash).await.unwrap().changed);
    assert!(!remove("one", "").await.unwrap().changed);
    // The other name holds the content.
    assert!(b.cache_bytes() >= bytes.len() as u64);
    assert!(remove("two", "").await.unwrap().changed);
    assert_eq!(b.cache_bytes(), 0);
    assert_eq!(b.host.file(&hash).await.unwrap_err().code(), Code::NotFound);

    // It comes again.
    in_time(b.get("one", &hash, &[a.provider()])).await.unwrap();
    assert_eq!(fs::read(b.host.file(&hash).await.unwrap()).unwrap(), bytes);

    assert!(
        a.images
            .remove("base".into(), String::new())
            .await
            .unwrap()
            .changed
    );
    assert_eq!(
        fs::read(a.folder.path().join("images/base")).unwrap(),
        bytes
    );
    let c = Node::new().await;
    let status = in_time(c.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
}

#[tokio::test]
async fn a_qcow2_is_shared_as_such() {
    let (a, b) = (Node::new().await, Node::new().await);
    let mut bytes = content(5, 5 * MIB);
    bytes[..104].fill(0);
    bytes[..4].copy_from_slice(b"QFI\xfb");
    bytes[7] = 3;
    bytes[28] = 1;
    a.write("disk.qcow2", &bytes);
    let shared = share(&a.images, "disk", "disk.qcow2", ImageFormat::Qcow2, &[]);
    let hash = in_time(shared).await.unwrap().image.hash;
    // As what it is not, it is no image.
    let status = in_time(b.get("disk", &hash, &[a.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(
        status.message().contains("is a qcow2, and not raw"),
        "{status}"
    );
    assert_eq!(b.images.list(String::new()).await.unwrap().images, []);
    assert_eq!(b.cache_bytes(), 0);
    let got = b
        .images
        .get("disk".into(), hash, ImageFormat::Qcow2, vec![a.provider()]);
    let (done, _) = in_time(async { crate::node::finish(got.await?).await })
        .await
        .unwrap();
    assert_eq!(done.image.format, ImageFormat::Qcow2);
}
