//! The trait that `blixard.image.v1.ImageService` is declared with.

use blixard_rpc::{Context, Result, Streaming, iroh_service};

use super::messages::{
    DescribeResponse, GetResponse, ImageFormat, ListResponse, LocateResponse, Provider,
    RemoveResponse, ShareResponse,
};

/// The disk images of one node, which nodes give to each other.
///
/// An image is known by the BLAKE3 hash of its content, and on a node by a name that leads to a hash. Its content never changes: another
/// content is another image. What is acknowledged survives a crash of the node's daemon. All methods are safe to repeat: what is there
/// already is OK, and not `changed`.
#[iroh_service(package = "blixard.image.v1", name = "ImageService")]
pub trait Images {
    /// Shares a file below the node's images under a name. Nothing is copied: the file stays where it is, and must not change; if it does,
    /// it is given to nobody until it is shared again.
    ///
    /// It is read once; until then there is progress, and then `Done`. If the call ends before, nothing is shared. A name that leads to
    /// another content is `ALREADY_EXISTS`. Names are 1 to 63 of `a-z`, `0-9`, `.`, `_` and `-`, and begin and end with a letter or
    /// digit.
    #[rpc(idempotent, max_message = "64 KiB")]
    async fn share(
        &self,
        name: String,
        file: String,
        format: ImageFormat,
        readers: Vec<String>,
    ) -> Result<Streaming<ShareResponse>>;

    /// Fetches the image of this hash from these providers, and from others that they know of, under a name.
    ///
    /// All that comes is verified. A provider that dies, refuses or lies is left out, and the others go on. There is progress, and then
    /// `Done`. It goes on for as long as somebody waits for it. What has come is kept if it fails or its callers leave, also by a crash,
    /// and the same call goes on from there; only if the image is none, or the disk is full, nothing is left.
    #[rpc(idempotent, max_message = "64 KiB")]
    async fn get(
        &self,
        name: String,
        hash: String,
        format: ImageFormat,
        providers: Vec<Provider>,
    ) -> Result<Streaming<GetResponse>>;

    /// How an image is.
    #[rpc(idempotent, max_message = "64 KiB")]
    async fn describe(&self, #[tag(1)] name: String) -> Result<DescribeResponse>;

    /// How the images are, by name: a page of at most 200, which begins where the page before says; the first with nothing.
    #[rpc(idempotent)]
    async fn list(&self, #[tag(1)] page: String) -> Result<ListResponse>;

    /// Removes a name, and what was fetched for it if no other name leads there. A file that was shared stays.
    ///
    /// What is in use or under way is `FAILED_PRECONDITION`. With a hash, a name that leads to another one is `ABORTED`.
    #[rpc(idempotent, max_message = "64 KiB")]
    async fn remove(&self, name: String, if_hash: String) -> Result<RemoveResponse>;

    /// What this node has of an image, and who else has some: nodes ask each other while they fetch. Who may not fetch it may not ask.
    ///
    /// Who says where it can be reached is told to others who ask, for ten minutes.
    #[rpc(idempotent, max_message = "64 KiB")]
    async fn locate(
        &self,
        cx: &Context,
        hash: String,
        getting: Option<Provider>,
    ) -> Result<LocateResponse>;
}
