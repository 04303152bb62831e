//! [`Faults`]: a network that delays, refuses, loses and cuts calls, all from a seed. What is done with the calls that pass is not its
//! affair.

use std::{
    fmt,
    ops::RangeInclusive,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    call::{Body, BodyStream, Codec, Request, Response},
    dispatch::{Dispatch, Layer},
    metadata::Metadata,
    method::{MethodDescriptor, ServiceDescriptor},
    status::{Result, Status},
};

/// Makes calls fail on purpose: a [`Layer`] for tests of what is built on this crate, before any transport or router.
///
/// What befalls a call follows from the seed and from how many calls came before it, so a test that fails can be run again as it was.
/// Every status that is made here says both. Without settings, nothing befalls any call.
///
/// | fault | what the handler sees | what the caller sees |
/// |---|---|---|
/// | [`delay`](Self::delay) | the call, later | the answer, later |
/// | [`refuse`](Self::refuse) | nothing | `UNAVAILABLE`, [not accepted](Status::was_accepted): it may be sent again |
/// | [`lose`](Self::lose) | the call, to its end | `UNAVAILABLE`, accepted: who knows what was done |
/// | [`cut`](Self::cut) | its requests end with `CANCELLED`, or its responses are dropped | some messages, then `UNAVAILABLE`, accepted |
///
/// Clones share the count of calls, and with it their fate.
///
/// # Examples
/// ```
/// # use blixard_rpc::{Channel, Layer, Memory, Router};
/// use std::time::Duration;
/// use blixard_rpc::testing::Faults;
///
/// let faults = Faults::new(7)
///     .delay(Duration::from_millis(1)..=Duration::from_millis(50))
///     .refuse(100)
///     .lose(50)
///     .cut(200, 0..=20);
/// let channel = Channel::new(faults.layer(Memory::new(Router::new())));
/// // .. calls, of which one in ten is refused; then, for what must hold in the end:
/// faults.heal();
/// # let _ = channel;
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    seed: u64,
    delay: Option<RangeInclusive<Duration>>,
    refuse_permille: u32,
    lose_permille: u32,
    cut_permille: u32,
    cut_after: RangeInclusive<u64>,
    shared: Arc<Shared>,
}

/// What has befallen calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Calls that came.
    pub calls: u64,
    /// Calls that were refused.
    pub refused: usize,
    /// Calls whose answer was lost.
    pub lost: usize,
    /// Streams that were cut.
    pub cut: usize,
}

#[derive(Debug, Default)]
struct Shared {
    healed: AtomicBool,
    calls: AtomicU64,
    refused: AtomicUsize,
    lost: AtomicUsize,
    cut: AtomicUsize,
}

impl Faults {
    /// No fault yet; what the others do follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            delay: None,
            refuse_permille: 0,
            lose_permille: 0,
            cut_permille: 0,
            cut_after: 0..=0,
            shared: Arc::default(),
        }
    }

    /// Lets every call wait for a time within this range before it is passed on.
    #[must_use]
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.delay = Some(range);
        self
    }

    /// Refuses so many of a thousand calls before a handler sees them.
    #[must_use]
    pub fn refuse(mut self, permille: u32) -> Self {
        self.refuse_permille = permille;
        self
    }

    /// Loses the answers of so many of a thousand calls. A response stream is dropped before its first message.
    #[must_use]
    pub fn lose(mut self, permille: u32) -> Self {
        self.lose_permille = permille;
        self
    }

    /// Cuts the streams of so many of a thousand calls, each way, after a number of messages within this range. One that ends before
    /// is left alone.
    #[must_use]
    pub fn cut(mut self, permille: u32, after: RangeInclusive<u64>) -> Self {
        self.cut_permille = permille;
        self.cut_after = after;
        self
    }

    /// Ends the faults, for this one and its clones. Streams that were to be cut still are.
    pub fn heal(&self) {
        self.shared.healed.store(true, Ordering::Relaxed);
    }

    /// What has befallen calls so far, of all clones.
    #[must_use]
    pub fn injected(&self) -> Injected {
        let shared = &self.shared;
        Injected {
            calls: shared.calls.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            cut: shared.cut.load(Ordering::Relaxed),
        }
    }

    /// What is to befall the next call.
    fn next(&self) -> Fate {
        let call = self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let name = format!("call {call} of seed {}", self.seed);
        if self.shared.healed.load(Ordering::Relaxed) {
            return Fate {
                name,
                ..Fate::default()
            };
        }
        // All are thrown, whatever they are for: one setting does not change what another does.
        let mut dice = Dice::new(self.seed, call);
        let [delay, refused, lost, cut, after] = std::array::from_fn(|_| dice.throw());
        Fate {
            delay: self.delay.as_ref().map(|range| {
                let width = range.end().saturating_sub(*range.start());
                *range.start() + width.mul_f64(delay as f64 / u64::MAX as f64)
            }),
            refused: refused % 1000 < u64::from(self.refuse_permille),
            lost: lost % 1000 < u64::from(self.lose_permille),
            cut_after: (cut % 1000 < u64::from(self.cut_permille)).then(|| {
                let (start, end) = (*self.cut_after.start(), *self.cut_after.end());
                start + after % end.saturating_sub(start).saturating_add(1)
            }),
            name,
        }
    }

    fn count(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Layer for Faults {
    type Dispatch<D: Dispatch> = Faulty<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Faulty<D> {
        Faulty {
            faults: self.clone(),
            inner,
        }
    }
}

/// What [`Faults`] makes of a dispatch.
#[derive(Clone)]
pub struct Faulty<D> {
    faults: Faults,
    inner: D,
}

impl<D: Dispatch> Dispatch for Faulty<D> {
    async fn dispatch(&self, mut request: Request) -> Result<Response> {
        let shared = &self.faults.shared;
        let fate = self.faults.next();
        if let Some(delay) = fate.delay {
            tokio::time::sleep(delay).await;
        }
        if fate.refused {
            Faults::count(&shared.refused);
            return Err(fate.status("was refused").with_not_accepted());
        }
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = |body: Body, status: Status| match fate.cut_after {
            Some(left) if body.is_stream() => Body::stream(Cut {
                body,
                left,
                status,
                is_cut: Arc::clone(&is_cut),
                shared: Arc::clone(shared),
            }),
            _ => body,
        };
        request.body = cut(request.body, Status::cancelled("the caller is gone"));
        let response = self.inner.dispatch(request).await;
        if is_cut.load(Ordering::Relaxed) {
            return Err(fate.status("was cut"));
        }
        if fate.lost {
            Faults::count(&shared.lost);
            return Err(fate.status("has lost its answer"));
        }
        let mut response = response?;
        response.body = cut(response.body, fate.status("was cut"));
        Ok(response)
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.inner.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.inner.resolve(path)
    }
}

impl<D> fmt::Debug for Faulty<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// What befalls one call.
#[derive(Default)]
struct Fate {
    delay: Option<Duration>,
    refused: bool,
    lost: bool,
    cut_after: Option<u64>,
    /// Which call it is, for people.
    name: String,
}

impl Fate {
    fn status(&self, what: &str) -> Status {
        Status::unavailable(format!("as the test wants it, {} {what}", self.name))
    }
}

/// A stream that ends badly after so many messages, or when the other direction of its call did.
struct Cut {
    body: Body,
    left: u64,
    status: Status,
    is_cut: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl BodyStream for Cut {
    fn poll_message(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = &mut *self;
        if this.left > 0 && !this.is_cut.load(Ordering::Relaxed) {
            let polled = this.body.poll_next(cx);
            // The handler may just have met the end of the other direction.
            if !this.is_cut.load(Ordering::Relaxed) {
                this.left -= u64::from(matches!(polled, Poll::Ready(Some(Ok(_)))));
                return polled;
            }
        }
        this.is_cut.store(true, Ordering::Relaxed);
        Faults::count(&this.shared.cut);
        // Whoever writes to it is told, as when a connection is gone.
        this.body = Body::empty();
        Poll::Ready(Some(Err(this.status.clone())))
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.body.take_trailers()
    }
}

/// Numbers that follow from a seed: SplitMix64.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, call: u64) -> Self {
        let mut calls = Self(seed ^ call.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self(calls.throw())
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
