//! The tiny guest that is checked in is what its source says.

use std::{fs, process::Command};

use blixard_tests::tools::{installed, root};

#[test]
fn the_guest_is_what_its_source_says() {
    if !installed("cc") || !installed("ld") {
        return;
    }
    let folder = root().join("services/guest");
    let made = std::env::temp_dir().join(format!("blixard-nano-{}", std::process::id()));
    fs::create_dir_all(&made).unwrap();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {said}");
    };
    let (object, elf) = (made.join("nano.o"), made.join("nano.elf"));
    run(Command::new("cc")
        .args(["-m32", "-c"])
        .arg(folder.join("nano.S"))
        .arg("-o")
        .arg(&object));
    run(Command::new("ld")
        .args([
            "-m",
            "elf_i386",
            "-N",
            "-s",
            "-Ttext=0x100000",
            "--build-id=none",
            "-o",
        ])
        .args([&elf, &object]));
    let made_now = loaded(&fs::read(&elf).unwrap());
    let checked_in = loaded(&fs::read(folder.join("nano.elf")).unwrap());
    assert_eq!(
        made_now, checked_in,
        "build it anew, as services/guest/README.md says"
    );
    fs::remove_dir_all(made).unwrap();
}

/// The first segment of an ELF file of 32 bits: where it is loaded, and its bytes. What linkers say of themselves is none of it.
fn loaded(elf: &[u8]) -> (u32, Vec<u8>) {
    let number = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    assert_eq!(&elf[..5], b"\x7fELF\x01");
    let header = number(28) as usize;
    assert_eq!(number(header), 1, "it is loaded");
    let (offset, address, size) = (number(header + 4), number(header + 8), number(header + 16));
    let bytes = elf[offset as usize..(offset + size) as usize].to_vec();
    assert!(bytes.len() > 100);
    (address, bytes)
}
