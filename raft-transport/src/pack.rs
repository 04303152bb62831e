//! Messages to batches and back: what is ready together travels together.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use blixard_services::raft::RaftMessage;
use futures_core::Stream;

use crate::config::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};

/// A batch that is being gathered.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    messages: Vec<RaftMessage>,
    bytes: usize,
}

impl Gathered {
    pub(crate) const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.messages.len() >= MAX_BATCH_MESSAGES || self.bytes >= MAX_BATCH_BYTES
    }

    pub(crate) const fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the message still goes in; a batch of one always may.
    pub(crate) fn has_room_for(&self, message: &RaftMessage) -> bool {
        self.is_empty()
            || (!self.is_full() && self.bytes + message.payload.len() <= MAX_BATCH_BYTES)
    }

    pub(crate) fn push(&mut self, message: RaftMessage) {
        self.bytes += message.payload.len();
        self.messages.push(message);
    }

    pub(crate) fn take(&mut self) -> Vec<RaftMessage> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

/// Batches of what is ready together of a stream; an error comes after what was ready before it.
#[derive(Debug)]
pub(crate) struct Packed<S, E> {
    inner: Option<S>,
    gathered: Gathered,
    /// What did not go into the batch before.
    left: Option<RaftMessage>,
    error: Option<E>,
}

impl<S, E> Packed<S, E> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner: Some(inner),
            gathered: Gathered::default(),
            left: None,
            error: None,
        }
    }
}

impl<S, E> Stream for Packed<S, E>
where
    S: Stream<Item = Result<RaftMessage, E>> + Unpin,
    E: Unpin,
{
    type Item = Result<Vec<RaftMessage>, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(left) = this.left.take() {
            this.gathered.push(left);
        }
        while let Some(inner) = &mut this.inner
            && !this.gathered.is_full()
        {
            match Pin::new(inner).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if !this.gathered.has_room_for(&message) {
                        this.left = Some(message);
                        break;
                    }
                    this.gathered.push(message);
                }
                Poll::Ready(Some(Err(error))) => {
                    this.error = Some(error);
                    this.inner = None;
                }
                Poll::Ready(None) => this.inner = None,
                Poll::Pending if this.gathered.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if !this.gathered.is_empty() {
            return Poll::Ready(Some(Ok(this.gathered.take())));
        }
        Poll::Ready(this.error.take().map(Err))
    }
}

/// The messages of batches, which `open` makes of what comes.
pub(crate) struct Unpacked<S, F> {
    inner: S,
    open: F,
    ready: VecDeque<RaftMessage>,
}

impl<S, F> Unpacked<S, F> {
    pub(crate) const fn new(inner: S, open: F) -> Self {
        Self {
            inner,
            open,
            ready: VecDeque::new(),
        }
    }
}

impl<S, B, E, F> Stream for Unpacked<S, F>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    F: FnMut(B) -> Result<Vec<RaftMessage>, E> + Unpin,
{
    type Item = Result<RaftMessage, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(message) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            match Pin::new(&mut this.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(batch))) => match (this.open)(batch) {
                    Ok(messages) => this.ready.extend(messages),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    fn of(sizes: &[usize]) -> Vec<Result<RaftMessage, &'static str>> {
        let message = |size: &usize| RaftMessage::new(1, Bytes::from(vec![0; *size]));
        sizes.iter().map(message).map(Ok).collect()
    }

    fn packed(items: Vec<Result<RaftMessage, &'static str>>) -> Vec<Result<usize, &'static str>> {
        let packed = Packed::new(stream::iter(items));
        let counts = packed.map(|batch| batch.map(|batch| batch.len()));
        counts.collect().now_or_never().unwrap()
    }

    #[test]
    fn what_is_ready_travels_together_within_the_bounds() {
        assert_eq!(packed(of(&[])), []);
        assert_eq!(packed(of(&[1; 100])), [Ok(100)]);
        assert_eq!(packed(of(&[1; 250])), [Ok(100), Ok(100), Ok(50)]);
        let half = MAX_BATCH_BYTES / 2;
        assert_eq!(packed(of(&[half, half, half])), [Ok(2), Ok(1)]);
        assert_eq!(packed(of(&[half, half + 1, 1])), [Ok(1), Ok(2)]);
        assert_eq!(
            packed(of(&[1, 3 * MAX_BATCH_BYTES, 1])),
            [Ok(1), Ok(1), Ok(1)]
        );
    }

    #[test]
    fn an_error_comes_after_what_was_ready_before_it_and_is_the_end() {
        let mut items = of(&[1, 1]);
        items.push(Err("broken"));
        items.extend(of(&[1]));
        assert_eq!(packed(items), [Ok(2), Err("broken")]);
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let sizes: Vec<usize> = (0..500).collect();
        let packed = Packed::new(stream::iter(of(&sizes)));
        let unpacked = Unpacked::new(packed, Ok);
        let lengths = unpacked.map(|message| message.unwrap().payload.len());
        let lengths: Vec<usize> = lengths.collect().now_or_never().unwrap();
        assert_eq!(lengths, sizes);
    }
}
