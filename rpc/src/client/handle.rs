//! [`Client`]: what is inside a generated client: a channel and the options of its calls. How a call is made lives in `shape`.

use std::{fmt, sync::Arc};

use super::options::CallOptions;
use crate::dispatch::Dispatch;

/// What is inside every generated client: a channel and the options of the calls that are made with it.
#[derive(Clone)]
pub struct Client<C> {
    pub(super) channel: C,
    /// Most clients have none; then there is nothing to look at.
    pub(super) options: Option<Arc<CallOptions>>,
}

impl<C: Dispatch> Client<C> {
    /// A client that calls through `channel`.
    pub const fn new(channel: C) -> Self {
        Self {
            channel,
            options: None,
        }
    }

    /// The same client with these options on top of those that it has.
    #[must_use]
    pub fn with(&self, options: impl Into<CallOptions>) -> Self
    where
        C: Clone,
    {
        let options = options.into();
        let options = match &self.options {
            Some(before) => CallOptions::clone(before).merge(options),
            None => options,
        };
        Self {
            channel: self.channel.clone(),
            options: Some(Arc::new(options)),
        }
    }

    /// The channel.
    pub const fn channel(&self) -> &C {
        &self.channel
    }
}

impl<C> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
