//! What there is room for: a cache with a limit, and disks that are full.

use std::{
    fs,
    process::Command,
    sync::{Arc, Mutex},
};

use blixard_rpc::{Code, transport::iroh::SecretKey};
use blixard_services::image::{ImageFormat, ImageState, Images};
use blixard_tests::folder::Folder;

use crate::node::{MIB, Node, Process, content, finish, in_time, share};

/// Hashes, and what uses them.
type Uses = Vec<(String, String)>;

#[tokio::test]
async fn the_least_recently_used_go_and_what_is_in_use_never() {
    let a = Node::new().await;
    let used: Arc<Mutex<Option<Uses>>> = Arc::default();
    let asked = Arc::clone(&used);
    let b = Node::with(|mut config| {
        config.max_cached_bytes = 11 * MIB as u64;
        config.users(move || asked.lock().unwrap().clone())
    })
    .await;
    let mut hashes = Vec::new();
    for seed in 0..4 {
        hashes.push(in_time(a.has(&format!("i{seed}"), &content(50 + seed, 5 * MIB))).await);
    }
    let get = async |number: usize| {
        let name = format!("i{number}");
        in_time(b.get(&name, &hashes[number], &[a.provider()])).await
    };
    let states = async || {
        let list = b.images.list(String::new()).await.unwrap();
        assert!(list.cached_bytes <= list.max_cached_bytes);
        assert!(b.cache_bytes() <= list.max_cached_bytes);
        let states = list.images.into_iter().map(|it| it.state);
        states.collect::<Vec<_>>()
    };
    get(0).await.unwrap();
    get(1).await.unwrap();
    // As long as it is not known who uses what, all is in use.
    let status = get(2).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status
            .message()
            .contains("raise its limit, or remove images"),
        "{status}"
    );
    assert_eq!(states().await, [ImageState::Ready, ImageState::Ready]);
    let status = b
        .images
        .remove("i0".into(), String::new())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");

    // The older is in use: the other goes.
    *used.lock().unwrap() = Some(vec![(hashes[0].clone(), "machine web".into())]);
    let status = b
        .images
        .remove("i0".into(), String::new())
        .await
        .unwrap_err();
    assert!(status.message().contains("used by machine web"), "{status}");
    get(2).await.unwrap();
    assert_eq!(
        states().await,
        [ImageState::Ready, ImageState::Evicted, ImageState::Ready]
    );
    let image = b.images.describe("i0".into()).await.unwrap().image;
    assert_eq!(image.used_by, ["machine web"]);

    // Who has asked for one is about to use it.
    b.host.file(&hashes[2]).await.unwrap();
    let status = get(3).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(
        states().await,
        [ImageState::Ready, ImageState::Evicted, ImageState::Ready]
    );

    // When nobody uses it any more it goes, and comes again by its name.
    *used.lock().unwrap() = Some(Vec::new());
    get(1).await.unwrap();
    assert_eq!(
        states().await,
        [ImageState::Evicted, ImageState::Ready, ImageState::Ready]
    );
    let file = b.host.file(&hashes[1]).await.unwrap();
    assert_eq!(fs::read(file).unwrap(), content(51, 5 * MIB));
    let status = b.host.file(&hashes[0]).await.unwrap_err();
    assert!(status.message().contains("get it first"), "{status}");
}

#[tokio::test]
async fn what_does_not_fit_at_all_is_refused_before_it_is_fetched() {
    let a = Node::new().await;
    let hash = in_time(a.has("big", &content(60, 6 * MIB))).await;
    let b = Node::with(|mut config| {
        config.max_cached_bytes = 6 * MIB as u64;
        config
    })
    .await;
    let status = in_time(b.get("big", &hash, &[a.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let full = Node::with(|mut config| {
        config.keep_free_bytes = u64::MAX / 2;
        config
    })
    .await;
    let status = in_time(full.get("big", &hash, &[a.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("the disk is full"), "{status}");
    full.write("mine", &content(61, MIB));
    let status = in_time(full.share("mine", "mine")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    for node in [&b, &full] {
        assert_eq!(node.images.list(String::new()).await.unwrap().images, []);
        assert_eq!(node.cache_bytes(), 0);
    }
}

/// No file of the daemon gets longer than this: as when the disk is full in the middle of it.
#[tokio::test]
async fn a_disk_that_fills_up_meanwhile_leaves_nothing_and_with_room_it_comes() {
    let a = Node::new().await;
    let bytes = content(62, 40 * MIB);
    let hash = in_time(a.has("big", &bytes)).await;
    let small = in_time(a.has("small", &content(63, 5 * MIB))).await;
    let (folder, key) = (Folder::new("image"), SecretKey::generate());
    let mut limited = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 16 * MIB / 512);
    limited.args(["-c", &script, "sh"]);
    let mut b = Process::begin_by(limited, &folder, &key);
    let get = |b: &Process, name: &str, hash: &str| {
        let images = b.images.clone();
        let (name, hash, provider) = (name.to_owned(), hash.to_owned(), a.provider());
        async move {
            let got = images.get(name, hash, ImageFormat::Raw, vec![provider]);
            finish(got.await?).await
        }
    };
    in_time(get(&b, "small", &small)).await.unwrap();
    for _ in 0..2 {
        let status = in_time(get(&b, "big", &hash)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("make room"), "{status}");
        let list = b.images.list(String::new()).await.unwrap().images;
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(list[0].state, ImageState::Ready);
        let data = folder
            .path()
            .join(format!("cache/contents/data/{hash}.data"));
        assert!(!data.exists());
    }
    b.kill();
    let b = Process::begin(&folder, &key);
    in_time(get(&b, "big", &hash)).await.unwrap();
    let data = folder
        .path()
        .join(format!("cache/contents/data/{hash}.data"));
    assert_eq!(fs::read(data).unwrap(), bytes);
}

/// A disk of its own, which only root can make.
struct Tmpfs(Folder);

impl Tmpfs {
    fn new(bytes: usize) -> Option<Self> {
        let folder = Folder::new("image");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"]);
        let mounted = mount.arg(folder.path()).output();
        if mounted.is_ok_and(|it| it.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: only root can make a disk of a size");
        None
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["-l".as_ref(), self.0.path().as_os_str()])
            .output();
    }
}

#[tokio::test]
async fn a_disk_of_a_size_is_never_filled_by_what_does_not_fit() {
    let Some(disk) = Tmpfs::new(24 * MIB) else {
        return;
    };
    let a = Node::new().await;
    let bytes = content(64, 40 * MIB);
    let hash = in_time(a.has("big", &bytes)).await;
    let fits = content(65, 10 * MIB);
    let small = in_time(a.has("small", &fits)).await;
    let mut node = Process::begin(&disk.0, &SecretKey::generate());
    let get = |name: &str, hash: &str| {
        let images = node.images.clone();
        let (name, hash, provider) = (name.to_owned(), hash.to_owned(), a.provider());
        async move {
            let got = images.get(name, hash, ImageFormat::Raw, vec![provider]);
            finish(got.await?).await
        }
    };
    let status = in_time(get("big", &hash)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("the disk is full"), "{status}");
    in_time(get("small", &small)).await.unwrap();
    // Now somebody else fills it: nothing can be recorded, and nothing is.
    fs::create_dir_all(disk.0.path().join("images")).unwrap();
    fs::write(disk.0.path().join("images/mine"), content(66, 2 * MIB)).unwrap();
    let mut filler = fs::File::create(disk.0.path().join("filler")).unwrap();
    let block = vec![1; MIB];
    while std::io::Write::write_all(&mut filler, &block).is_ok() {}
    let shared = share(&node.images, "mine", "mine", ImageFormat::Raw, &[]);
    let status = in_time(shared).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let list = node.images.list(String::new()).await.unwrap().images;
    assert_eq!(list.len(), 1, "{list:?}");
    drop(filler);
    fs::remove_file(disk.0.path().join("filler")).unwrap();
    in_time(share(&node.images, "mine", "mine", ImageFormat::Raw, &[]))
        .await
        .unwrap();
    let data = disk
        .0
        .path()
        .join(format!("cache/contents/data/{small}.data"));
    assert_eq!(fs::read(data).unwrap(), fits);
    node.kill();
}
