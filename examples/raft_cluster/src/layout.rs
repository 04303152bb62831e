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
            let own = folder.join(id.to_string());
            fs::create_dir_all(&own)?;
            let secret = SecretKey::generate();
            fs::write(own.join("secret"), hex(&secret.to_bytes()))?;
            let mut params = CertificateParams::new(vec![name(id), grpc.ip().to_string()])
                .map_err(io::Error::other)?;
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name(id));
            let key = KeyPair::generate().map_err(io::Error::other)?;
            let certificate = params
                .signed_by(&key, &authority)
                .map_err(io::Error::other)?;
            fs::write(own.join("certificate.pem"), certificate.pem())?;
            fs::write(own.join("key.pem"), key.serialize_pem())?;
            lines += &format!("{id} {} {iroh} {grpc}\n", secret.public());
        }
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
        let text = fs::read_to_string(self.own(id).join("secret"))?;
        text.parse().map_err(io::Error::other)
    }

    /// The certificates that a member's TLS needs: its authority's, its own, and its key.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn certificates(&self, id: u64) -> io::Result<[Vec<u8>; 3]> {
        Ok([
            fs::read(self.folder.join("authority.pem"))?,
            fs::read(self.own(id).join("certificate.pem"))?,
            fs::read(self.own(id).join("key.pem"))?,
        ])
    }
}

fn name(id: u64) -> String {
    format!("node-{id}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
