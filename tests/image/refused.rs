//! What is wrong is refused, says what to do, and changes nothing.

use std::{fs, os::unix::fs::symlink, process::Command};

use blixard_rpc::{Code, Status};
use blixard_services::image::{ImageFormat, Images, Provider};
use blixard_tests::tools::installed;

use crate::node::{MIB, Node, content, in_time, share};

async fn check_share(node: &Node, file: &str, format: ImageFormat, says: &str) {
    let shared = share(&node.images, "name", file, format, &[]);
    let status = in_time(shared).await.unwrap_err();
    assert_says(&status, says);
    assert_eq!(node.images.list(String::new()).await.unwrap().images, []);
    assert_eq!(node.cache_bytes(), 0);
}

fn assert_says(status: &Status, says: &str) {
    let codes = [Code::InvalidArgument, Code::NotFound];
    assert!(codes.contains(&status.code()), "{status}");
    assert!(
        status.message().contains(says),
        "{status} does not say {says:?}"
    );
    assert!(status.message().len() < 500, "it repeats what it was given");
}

#[tokio::test]
async fn files_that_are_no_images_are_refused() {
    let node = Node::new().await;
    let outside = node.folder.path().join("outside");
    fs::write(&outside, content(1, MIB)).unwrap();
    symlink(&outside, node.folder.path().join("images/link")).unwrap();
    for (file, says) in [
        ("../outside", "not below the node's images"),
        ("/etc/passwd", "not below the node's images"),
        ("link", "not below the node's images"),
        ("a\0b", "no NUL"),
        ("", "1 to 512 bytes"),
        (&*"x".repeat(1 << 15), "1 to 512 bytes"),
        ("missing", "there is no image"),
        (".", "not below the node's images"),
    ] {
        check_share(&node, file, ImageFormat::Raw, says).await;
    }
    let mut header = vec![0; 2 * MIB];
    header[..4].copy_from_slice(b"QFI\xfb");
    header[7] = 3;
    for (name, place, value, says) in [
        ("backing", 15, 1, "has a backing file"),
        ("encrypted", 35, 2, "is encrypted"),
        ("external", 79, 4, "external data file"),
        ("version", 7, 9, "unknown version"),
        ("magic", 0, 0, "is no qcow2"),
    ] {
        let mut bad = header.clone();
        bad[place] = value;
        node.write(name, &bad);
        check_share(&node, name, ImageFormat::Qcow2, says).await;
    }
    node.write("good", &header);
    check_share(&node, "good", ImageFormat::Raw, "is a qcow2, and not raw").await;
    node.write("luks", b"LUKS\xba\xbe\0\x02");
    check_share(&node, "luks", ImageFormat::Raw, "is encrypted").await;
    node.write("empty", b"");
    check_share(&node, "empty", ImageFormat::Raw, "is empty").await;
    check_share(&node, "good", ImageFormat::Unspecified, "raw or qcow2").await;
    check_share(&node, "good", ImageFormat::Other(7), "knows no format 7").await;
}

/// What QEMU makes of it, and not only what we think it makes.
#[tokio::test]
async fn what_qemu_makes_is_told_apart() {
    if !installed("qemu-img") {
        return;
    }
    let node = Node::new().await;
    let make = |arguments: &[&str]| {
        let images = node.folder.path().join("images");
        let mut command = Command::new("qemu-img");
        let command = command.current_dir(images).arg("create").args(arguments);
        let output = command.output().unwrap();
        // It measures how fast this machine hashes, and gives up where others keep it busy.
        let busy = b"Unable to get accurate CPU usage";
        let is_busy = output.stderr.windows(busy.len()).any(|it| it == busy);
        assert!(output.status.success() || is_busy, "{output:?}");
        output.status.success()
    };
    let plain = make(&["-f", "qcow2", "plain", "8M"]);
    assert!(plain);
    make(&["-f", "qcow2", "-o", "compat=0.10", "older", "8M"]);
    make(&["-f", "qcow2", "-b", "plain", "-F", "qcow2", "backing"]);
    make(&[
        "-f",
        "qcow2",
        "-o",
        "data_file=beside,data_file_raw=on",
        "external",
        "8M",
    ]);
    let secret = ["--object", "secret,id=s,data=x", "-f", "qcow2"];
    let encrypted = make(
        &[
            &secret[..],
            &[
                "-o",
                "encrypt.format=luks,encrypt.key-secret=s",
                "encrypted",
                "8M",
            ],
        ]
        .concat(),
    );
    for (file, says) in [
        ("backing", "has a backing file"),
        ("external", "external data file"),
        ("encrypted", "is encrypted"),
    ] {
        if file == "encrypted" && !encrypted {
            eprintln!("skipped: this machine is too busy for qemu-img to encrypt");
            continue;
        }
        check_share(&node, file, ImageFormat::Qcow2, says).await;
    }
    for file in ["plain", "older"] {
        in_time(share(&node.images, file, file, ImageFormat::Qcow2, &[]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn names_hashes_and_providers_are_checked_before_anything_is_done() {
    let node = Node::new().await;
    node.write("file", &content(1, MIB));
    let hash = "1".repeat(64);
    let megabyte = "x".repeat(1 << 20);
    let kilobytes = "x".repeat(60_000);
    for name in ["", "../x", "a/b", "a\0", "A", ".", &kilobytes] {
        let says = "the name of an image is";
        let shared = share(&node.images, name, "file", ImageFormat::Raw, &[]);
        assert_says(&in_time(shared).await.unwrap_err(), says);
        assert_says(
            &in_time(node.get(name, &hash, &[])).await.unwrap_err(),
            says,
        );
        assert_says(&node.images.describe(name.into()).await.unwrap_err(), says);
        assert_says(
            &node
                .images
                .remove(name.into(), String::new())
                .await
                .unwrap_err(),
            says,
        );
    }
    // What is longer than a message of this service is not even read.
    let described = node.images.describe(megabyte).await.unwrap_err();
    assert_eq!(described.code(), Code::ResourceExhausted);
    for hash in ["", "z", &"g".repeat(64), &"1".repeat(63), &kilobytes] {
        let says = "64 digits";
        assert_says(
            &in_time(node.get("name", hash, &[])).await.unwrap_err(),
            says,
        );
    }
    let good = node.provider();
    let provider = |edit: fn(&mut Provider)| {
        let mut provider = good.clone();
        edit(&mut provider);
        provider
    };
    for bad in [
        provider(|it| it.key = "x".into()),
        provider(|it| it.addresses = vec!["localhost:1".into()]),
        provider(|it| it.addresses = vec!["127.0.0.1:1".into(); 17]),
        provider(|it| it.relay = "no url".into()),
    ] {
        let bad = [bad];
        let got = node.get("name", &hash, &bad);
        assert_eq!(
            in_time(got).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    let many = vec![good; 33];
    let got = node.get("name", &hash, &many);
    assert_says(&in_time(got).await.unwrap_err(), "at most 32 providers");
    for readers in [vec!["x".into()], vec!["1".repeat(64); 65]] {
        let shared = share(&node.images, "name", "file", ImageFormat::Raw, &readers);
        assert_eq!(
            in_time(shared).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    assert_eq!(node.images.list(String::new()).await.unwrap().images, []);
}
