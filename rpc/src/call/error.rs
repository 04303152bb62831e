//! [`CallError`]: what a call can fail with. The one error of the framework itself is [`Status`].

use crate::status::Status;

/// What a call can fail with: whatever a [`Status`] becomes, and what becomes a status.
///
/// Never implemented by hand: it is there for [`Status`], for what `#[derive(RpcError)]` is on, and for whatever else has the two
/// conversions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a call",
    label = "does not become a `Status` and come back",
    note = "derive `RpcError` for it, or implement `From<Status> for {Self}` and `From<{Self}> for Status`"
)]
pub trait CallError: From<Status> + Into<Status> + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<E: From<Status> + Into<Status> + Send + 'static> CallError for E {}

/// What carries a call that may fail with `E`: generated code asks here, and nowhere else first, whether it may.
#[inline]
pub fn fails_with<E: CallError, T>(carrier: T) -> T {
    carrier
}
