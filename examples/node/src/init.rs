//! Makes what a cluster on this machine needs before it can be started.

use std::{fmt::Write, fs, net::TcpListener, path::Path};

use blixard_raft_cluster::{layout::Layout, node::Failure};

/// Makes keys, certificates, who may call what, and a file for each node.
///
/// # Errors
/// If there is a cluster already, or the folder cannot be written.
pub fn init(folder: &Path, nodes: u64) -> Result<(), Failure> {
    if folder.join("members").exists() {
        return Err(format!("{} has a cluster already", folder.display()).into());
    }
    if !(1..=9).contains(&nodes) {
        return Err(format!("{nodes} nodes: allowed are 1 to 9").into());
    }
    let layout = Layout::create(folder, nodes)?;
    let folder = folder.canonicalize()?;
    let images = folder.join("images");
    fs::create_dir_all(&images)?;

    let mut access = format!(
        "# Who may call what. After a change: kill -HUP the nodes.\n[peers.admin]\nkey = \"{}\"\nroles = [\"admin\"]\n",
        layout.client_secret()?.public()
    );
    let mut members = String::new();
    for member in &layout.members {
        let (id, key, iroh, grpc) = (member.id, member.key, member.iroh, member.grpc);
        write!(
            access,
            "\n[peers.node-{id}]\nkey = \"{key}\"\nroles = [\"node\"]\n"
        )?;
        write!(
            members,
            "\n[[members]]\nid = {id}\nkey = \"{key}\"\niroh = \"{iroh}\"\ngrpc = \"https://{grpc}\"\n"
        )?;
    }
    let access_file = folder.join("peers.toml");
    fs::write(&access_file, access)?;

    // Held until all are found, so that no two are the same.
    let mut held = Vec::new();
    for member in &layout.members {
        let page = TcpListener::bind("127.0.0.1:0")?;
        let metrics = page.local_addr()?;
        held.push(page);
        let (id, iroh, grpc, own) = (
            member.id,
            member.iroh,
            member.grpc,
            folder.join(member.id.to_string()),
        );
        let file = |name: &str| own.join(name);
        let text = format!(
            r#"mode = "dual"              # on what is served: "grpc", "iroh" or "dual"
reflection = true

[iroh]
bind = "{iroh}"
secret_key_file = {secret:?}
relays = "none"            # "n0" to be found across the internet

[grpc]
listen = "{grpc}"

[grpc.tls]
certificate_file = {certificate:?}
key_file = {key:?}
client_authorities_file = {authority:?}

[migration]                # read again on SIGHUP
carry = "grpc"             # "grpc", "iroh" or "both"; [migration.services."blixard.vm.v1.VmService"] says it of one

[node]
id = {id}
data = {data:?}
access = {access:?}
metrics = "{metrics}"

[raft]
cluster = "demo"
carry = "grpc"             # by what the others are called: "grpc", "iroh" or "dual"; read again on SIGHUP

[vm]
images = {images:?}

[images]
shared = {images:?}
{members}"#,
            secret = file("secret"),
            certificate = file("certificate.pem"),
            key = file("key.pem"),
            authority = folder.join("authority.pem"),
            data = file("data"),
            access = access_file,
        );
        fs::write(folder.join(format!("node-{id}.toml")), text)?;
    }
    println!("made {nodes} nodes in {}", folder.display());
    for member in &layout.members {
        println!("  node run {}/node-{}.toml", folder.display(), member.id);
    }
    println!(
        "then, once:\n  node begin {0}\nand at any time:\n  node status {0}",
        folder.display()
    );
    Ok(())
}
