//! The messages of `blixard.image.v1`. What the methods do is in `api`.

use std::time::{Duration, SystemTime};

use blixard_rpc::message;
use bytes::Bytes;

/// An image, as a node knows it.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its name on this node.
    pub name: String,
    /// The BLAKE3 hash of its content: 64 digits of `0-9a-f`. It is the same on every node.
    pub hash: String,
    /// How long it is.
    pub size_bytes: u64,
    /// What it is. It is never guessed.
    pub format: ImageFormat,
    /// Whether it is here.
    pub state: ImageState,
    /// How much of it is here.
    pub here_bytes: u64,
    /// The file that it was shared from, relative to the node's images; empty if it was fetched.
    pub file: String,
    /// The keys that alone may fetch it, as 64 digits of `0-9a-f`; all that may fetch from this node, if there is none.
    pub readers: Vec<String>,
    /// What uses it, such as machines.
    pub used_by: Vec<String>,
    /// When it came to be known.
    pub created_at: Option<SystemTime>,
    /// When it was used last.
    pub used_at: Option<SystemTime>,
}

/// The format of an image.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageFormat {
    /// Nothing was said: refused.
    #[default]
    Unspecified = 0,
    /// The content of the disk, byte for byte.
    Raw = 1,
    /// QEMU's own, without a backing file, an external data file or encryption.
    Qcow2 = 2,
    /// A format that this version does not know.
    #[unknown]
    Other(i32),
}

/// Whether an image is here.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageState {
    /// Nothing is known.
    #[default]
    Unspecified = 0,
    /// All of it is here, and what it was.
    Ready = 1,
    /// A part of it is here. Getting it again goes on from there.
    Partial = 2,
    /// The cache had no room for it. Getting it again brings it back.
    Evicted = 3,
    /// The file that it was shared from is not what it was, or is gone. It is given to nobody until it is shared again.
    Changed = 4,
    /// A state that this version does not know.
    #[unknown]
    Other(i32),
}

/// A node that images can be fetched from.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// Its key: 64 digits of `0-9a-f`.
    pub key: String,
    /// Where it may be reached: IP addresses with ports. With none it is looked up by its key.
    pub addresses: Vec<String>,
    /// The relay that leads to it; none if empty.
    pub relay: String,
}

/// How far something is that takes its time.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// So much is done.
    pub done_bytes: u64,
    /// So much is to be done; 0 as long as that is not known.
    pub total_bytes: u64,
    /// How fast it goes now.
    pub bytes_per_second: u64,
    /// Who gives what.
    pub sources: Vec<Source>,
}

/// What a provider has given.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its key.
    pub key: String,
    /// So much has come from it since the call began.
    pub received_bytes: u64,
    /// How it does.
    pub state: SourceState,
    /// Why it gives nothing, if it does not.
    pub message: String,
}

/// How a provider does.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceState {
    /// Nothing is known of it yet.
    #[default]
    Unspecified = 0,
    /// It gives.
    Giving = 1,
    /// It does not answer; it is asked again later.
    Silent = 2,
    /// It refuses, or does not have the image.
    Refused = 3,
    /// What it gave was not what was asked for. It is asked no more.
    Lied = 4,
    /// A state that this version does not know.
    #[unknown]
    Other(i32),
}

/// What an image that is being shared comes to.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareResponse {
    /// What there is to say.
    pub event: ShareEvent,
}

/// How far the sharing of an image is.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareEvent {
    /// It is being read.
    Progress(Progress),
    /// It is shared. Nothing comes after this.
    Done(Done),
    /// What only newer nodes say.
    #[unknown]
    Unknown,
}

/// What an image that is being fetched comes to.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetResponse {
    /// What there is to say.
    pub event: GetEvent,
}

/// How far the fetching of an image is.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetEvent {
    /// It is on its way.
    Progress(Progress),
    /// It is here. Nothing comes after this.
    Done(Done),
    /// What only newer nodes say.
    #[unknown]
    Unknown,
}

/// The end of what went well.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The image as it is now, and on disk.
    pub image: Image,
    /// Whether there was anything to do.
    pub changed: bool,
    /// How long it took.
    pub took: Option<Duration>,
}

/// How an image is.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeResponse {
    /// The image.
    pub image: Image,
}

/// A page of images.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListResponse {
    /// By name.
    pub images: Vec<Image>,
    /// Where the next page begins; empty after the last.
    pub next_page: String,
    /// So much do images take that were fetched.
    pub cached_bytes: u64,
    /// So much may they take.
    pub max_cached_bytes: u64,
}

/// What became of an image that is to be known no more.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoveResponse {
    /// Whether there was one.
    pub changed: bool,
}

/// What a node has of an image, and who else has some.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocateResponse {
    /// How long the image is, if this node knows.
    pub size_bytes: u64,
    /// Whether all of it is here.
    pub complete: bool,
    /// If it is not: the length of a piece.
    pub piece_bytes: u64,
    /// If it is not: a bit for each piece, which is 1 if it is here; the first piece is the lowest bit of the first byte.
    pub pieces: Bytes,
    /// The keys that alone may fetch it, as 64 digits of `0-9a-f`; all if there is none. Who fetches it gives it to no others.
    pub readers: Vec<String>,
    /// Other nodes that have some of it, or get it just now.
    pub others: Vec<Provider>,
}
