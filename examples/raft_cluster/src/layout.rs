//! Where everything of a cluster is: a folder with what all members know, and a folder of secrets and files for each.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use blixard_rpc::transport::iroh::{EndpointAddr, EndpointId, IrohPeer, SecretKey};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A cluster on this machine.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    /// Its members, in the order of their numbers.
    pub members: Vec<Member>,
}

/// What all know of a member.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Its key: who it is over iroh.
    pub key: EndpointId,
    /// Where it listens for iroh.
    pub iroh: SocketAddr,
    /// Where it listens for gRPC.
    pub grpc: SocketAddr,
}

impl Member {
    /// Its key and where it is.
    #[must_use]
    pub fn peer(&self) -> IrohPeer {
        EndpointAddr::new(self.key).with_ip_addr(self.iroh).into()
    }

    /// What its certificate calls it: who it is over gRPC.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.id)
    }
}

impl Layout {
    /// Makes keys, certificates and ports for so many members on loopback.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn create(folder: &Path, members: u64) -> io::Result<Self> {
        // Held until all are found, so that no two are the same.
        let mut held = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..members {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            addresses.push((udp.local_addr()?, tcp.local_addr()?));
            held.push((udp, tcp));
        }
        Self::create_at(folder, &addresses)
    }

    /// Makes keys and certificates for members that listen there for iroh, and there for gRPC.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn create_at(folder: &Path, addresses: &[(SocketAddr, SocketAddr)]) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let authority = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        fs::write(folder.join("authority.pem"), authority.pem())?;
        let mut lines = String::new();
        for (id, (iroh, grpc)) in (1..).zip(addresses) {
            let names = vec![name(id), grpc.ip().to_string()];
            let key = identity(&folder.join(id.to_string()), names, &authority)?;
            lines += &format!("{id} {key} {iroh} {grpc}\n");
        }
        identity(&folder.join(CLIENT), vec![CLIENT.to_owned()], &authority)?;
        fs::write(folder.join("members"), lines)?;
        Self::open(folder)
    }

    /// Reads what [`create`](Self::create) made.
    ///
    /// # Errors
    /// If it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(folder.join("members"))?;
        let members = text
            .lines()
            .map(|line| {
                let parts: Vec<&str> = line.split(' ').collect();
                let [id, key, iroh, grpc] = parts[..] else {
                    return Err(io::Error::other(format!("not a member: {line}")));
                };
                Ok(Member {
                    id: id.parse().map_err(io::Error::other)?,
                    key: key.parse().map_err(io::Error::other)?,
                    iroh: iroh.parse().map_err(io::Error::other)?,
                    grpc: grpc.parse().map_err(io::Error::other)?,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            folder: folder.to_owned(),
            members,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What all know of a member.
    ///
    /// # Errors
    /// If there is none of this number.
    pub fn member(&self, id: u64) -> io::Result<&Member> {
        self.members
            .iter()
            .find(|member| member.id == id)
            .ok_or_else(|| io::Error::other(format!("there is no member {id}")))
    }

    /// Where a member keeps its own things.
    #[must_use]
    pub fn own(&self, id: u64) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// A member's secret key.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn secret(&self, id: u64) -> io::Result<SecretKey> {
        self.secret_of(&id.to_string())
    }

    /// The secret key of whoever administers the cluster.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn client_secret(&self) -> io::Result<SecretKey> {
        self.secret_of(CLIENT)
    }

    /// The certificates that a member's TLS needs: its authority's, its own, and its key.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn certificates(&self, id: u64) -> io::Result<[Vec<u8>; 3]> {
        self.certificates_of(&id.to_string())
    }

    /// The same for whoever administers the cluster.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn client_certificates(&self) -> io::Result<[Vec<u8>; 3]> {
        self.certificates_of(CLIENT)
    }

    fn secret_of(&self, who: &str) -> io::Result<SecretKey> {
        let text = fs::read_to_string(self.folder.join(who).join("secret"))?;
        text.parse().map_err(io::Error::other)
    }

    fn certificates_of(&self, who: &str) -> io::Result<[Vec<u8>; 3]> {
        Ok([
            fs::read(self.folder.join("authority.pem"))?,
            fs::read(self.folder.join(who).join("certificate.pem"))?,
            fs::read(self.folder.join(who).join("key.pem"))?,
        ])
    }
}

/// Makes a key and a certificate for it, in a folder of their own.
fn identity(
    folder: &Path,
    names: Vec<String>,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> io::Result<EndpointId> {
    fs::create_dir_all(folder)?;
    let secret = SecretKey::generate();
    fs::write(folder.join("secret"), hex(&secret.to_bytes()))?;
    let common = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, common);
    // One key for both transports: who it is over iroh, it is over gRPC.
    let key = key_pair(&secret).map_err(io::Error::other)?;
    let certificate = params
        .signed_by(&key, authority)
        .map_err(io::Error::other)?;
    fs::write(folder.join("certificate.pem"), certificate.pem())?;
    fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(secret.public())
}

/// Whoever administers the cluster.
const CLIENT: &str = "client";

/// The secret key as certificates want it: PKCS #8, by [RFC 8410](https://www.rfc-editor.org/rfc/rfc8410#section-7).
fn key_pair(secret: &SecretKey) -> Result<KeyPair, rcgen::Error> {
    const BEFORE: [u8; 16] = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let der = [&BEFORE[..], &secret.to_bytes()].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &rcgen::PKCS_ED25519)
}

fn name(id: u64) -> String {
    format!("node-{id}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
