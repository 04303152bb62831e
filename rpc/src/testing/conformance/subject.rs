//! [`Subject`]: the handlers that the suite calls. They do what the plan of a call says, and count what becomes of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;

use super::{
    item::item,
    plan::{Act, PLAN, Plan},
    probe::Counter,
    service::{Conformance, ConformanceClient, Parcel, Refusal, Total},
};
use crate::{CallOptions, Context, Result, Status, Streaming};

/// The handlers, and what became of them.
#[derive(Debug)]
pub(super) struct Subject {
    /// Handlers that began.
    pub(super) started: Counter,
    /// Handlers that were dropped before they were done.
    pub(super) dropped: Counter,
    /// Handlers that came to their end, a bad one included.
    pub(super) done: Counter,
    /// Handlers of which either is true.
    pub(super) gone: Counter,
    /// Items that were given.
    pub(super) given: Counter,
    /// Items that were taken.
    pub(super) taken: Counter,
    /// One-way calls that arrived.
    pub(super) noted: Counter,
    /// Request streams that were read to their end by a task that a handler had started.
    pub(super) delegated: Counter,
    state: Mutex<State>,
    released: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    plans: Vec<Plan>,
    contexts: Vec<Context>,
    notes: Vec<Bytes>,
    ends: Vec<Option<Status>>,
    client: Option<ConformanceClient>,
}

impl Subject {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Counter::new("handlers that began"),
            dropped: Counter::new("handlers that were dropped"),
            done: Counter::new("handlers that came to their end"),
            gone: Counter::new("handlers that are gone"),
            given: Counter::new("items given by handlers"),
            taken: Counter::new("items taken by handlers"),
            noted: Counter::new("one-way calls that arrived"),
            delegated: Counter::new("request streams read to their end by another task"),
            state: Mutex::default(),
            released: watch::Sender::new(false),
        })
    }

    /// Keeps a plan; its number names it.
    pub(super) fn add_plan(&self, plan: Plan) -> usize {
        let plans = &mut self.state().plans;
        plans.push(plan);
        plans.len() - 1
    }

    /// With what handlers make calls of their own; `None` breaks the circle at the end.
    pub(super) fn set_client(&self, client: Option<ConformanceClient>) {
        let before = std::mem::replace(&mut self.state().client, client);
        drop(before);
    }

    /// Lets every handler go on that waits, and every one that will.
    pub(super) fn release(&self) {
        self.released.send_replace(true);
    }

    /// The context of the handler that began so many before the last one.
    pub(super) fn context(&self, before_last: usize) -> Context {
        let contexts = &self.state().contexts;
        contexts[contexts.len() - 1 - before_last].clone()
    }

    pub(super) fn notes(&self) -> Vec<Bytes> {
        self.state().notes.clone()
    }

    /// How the request streams ended that were read by another task: well, or with a status.
    pub(super) fn ends(&self) -> Vec<Option<Status>> {
        self.state().ends.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, cx: &Context, requests: Option<Streaming<Bytes>>) -> Performer {
        let plan = {
            let mut state = self.state();
            state.contexts.push(cx.clone());
            cx.metadata()
                .get(PLAN)
                .and_then(|number| number.parse::<usize>().ok())
                .map(|number| state.plans[number].clone())
                .unwrap_or_default()
        };
        self.started.add_one();
        Performer {
            guard: Guard {
                subject: Arc::clone(self),
                done: false,
            },
            cx: cx.clone(),
            before: plan.before.into(),
            during: plan.during.into(),
            requests,
            number: 0,
        }
    }
}

/// [`Subject`] as the service's trait wants it.
#[derive(Debug)]
pub(super) struct Handlers(pub(super) Arc<Subject>);

impl Conformance for Handlers {
    async fn call(&self, cx: &Context, data: Bytes) -> Result<Bytes> {
        let mut performer = self.0.begin(cx, None);
        let result = performer.before().await;
        performer.guard.done = true;
        Ok(match result? {
            Some(size) => item(0, size),
            None => data,
        })
    }

    async fn give(&self, cx: &Context, data: Bytes) -> Result<Streaming<Bytes>> {
        let mut performer = self.0.begin(cx, None);
        performer.number = data.len() as u64;
        performer.responses().await
    }

    async fn take(&self, cx: &Context, items: Streaming<Bytes>) -> Result<Total> {
        let mut performer = self.0.begin(cx, Some(items));
        let result = performer.total().await;
        performer.guard.done = true;
        result
    }

    async fn chat(&self, cx: &Context, items: Streaming<Bytes>) -> Result<Streaming<Bytes>> {
        let mut performer = self.0.begin(cx, Some(items));
        if performer.during.is_empty() {
            performer.during.push_back(Act::Echo);
        }
        performer.responses().await
    }

    async fn note(&self, cx: &Context, data: Bytes) {
        let mut performer = self.0.begin(cx, None);
        // Nobody would hear of a failure.
        let _ = performer.before().await;
        performer.guard.done = true;
        self.0.state().notes.push(data);
        self.0.noted.add_one();
    }

    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }

    async fn nothing(&self) -> Result<()> {
        Ok(())
    }

    async fn nothings(&self, items: Streaming<()>) -> Result<Streaming<()>> {
        Ok(items)
    }

    async fn several(
        &self,
        number: u64,
        label: String,
        weight: Option<f64>,
        data: Bytes,
        parts: Vec<String>,
    ) -> Result<Parcel> {
        Ok(Parcel {
            number,
            label,
            weight,
            data,
            parts,
            inner: Some(Box::default()),
        })
    }

    async fn parcels(&self, items: Streaming<Parcel>) -> Result<Streaming<Parcel>> {
        Ok(items)
    }

    async fn refuse(&self, which: u32) -> Result<(), Refusal> {
        Err(refusal(which))
    }

    async fn refuse_later(&self, which: u32) -> Result<Streaming<u32, Refusal>, Refusal> {
        let items = [Ok(1), Ok(2), Err(refusal(which))];
        Ok(Streaming::new(stream::iter(items)))
    }

    async fn small(&self, cx: &Context, data: Bytes) -> Result<Bytes> {
        self.call(cx, data).await
    }

    async fn hasty(&self, cx: &Context, data: Bytes) -> Result<Bytes> {
        self.call(cx, data).await
    }

    async fn urgent(&self, cx: &Context, data: Bytes) -> Result<Bytes> {
        self.call(cx, data).await
    }
}

/// One of each kind.
fn refusal(which: u32) -> Refusal {
    match which {
        0 => Refusal::Nobody {
            name: "Æsop".to_owned(),
            similar: vec![String::new(), "Aesop".to_owned()],
        },
        1 => Refusal::TooMany(u64::MAX),
        2 => Refusal::Closed,
        _ => Refusal::Other(Status::data_loss("something else")),
    }
}

/// One handler at work.
struct Performer {
    guard: Guard,
    cx: Context,
    before: VecDeque<Act>,
    during: VecDeque<Act>,
    requests: Option<Streaming<Bytes>>,
    number: u64,
}

impl Performer {
    /// What comes before the answer; a size, if the plan says how long that is.
    async fn before(&mut self) -> Result<Option<usize>> {
        while let Some(act) = self.before.pop_front() {
            match act {
                Act::Answer(size) => return Ok(Some(size)),
                act => self.perform(act).await?,
            }
        }
        Ok(None)
    }

    async fn total(&mut self) -> Result<Total> {
        let mut total = Total::default();
        if self.before().await?.is_some() {
            return Ok(total);
        }
        while let Some(item) = self.request().await {
            total.items += 1;
            total.bytes += item?.len() as u64;
        }
        Ok(total)
    }

    async fn responses(mut self) -> Result<Streaming<Bytes>> {
        if let Err(status) = self.before().await {
            self.guard.done = true;
            return Err(status);
        }
        Ok(Streaming::new(stream::unfold(self, |mut this| async {
            let item = this.response().await;
            if !matches!(item, Some(Ok(_))) {
                this.guard.done = true;
            }
            item.map(|item| (item, this))
        })))
    }

    async fn response(&mut self) -> Option<Result<Bytes>> {
        loop {
            let size = match self.during.front_mut()? {
                Act::Items(0, _) => {
                    self.during.pop_front();
                    continue;
                }
                Act::Items(count, size) => {
                    *count -= 1;
                    *size
                }
                Act::Endless(size) => *size,
                Act::Echo => match self.request().await {
                    Some(item) => return Some(item),
                    None => {
                        self.during.pop_front();
                        continue;
                    }
                },
                act => {
                    let act = act.clone();
                    self.during.pop_front();
                    match self.perform(act).await {
                        Ok(()) => continue,
                        Err(status) => return Some(Err(status)),
                    }
                }
            };
            let item = item(self.number, size);
            self.number += 1;
            self.guard.subject.given.add_one();
            return Some(Ok(item));
        }
    }

    async fn perform(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Header(key, value) if key.ends_with("-bin") => {
                self.cx.set_header_bin(key, value)?;
            }
            Act::Header(key, value) => self.cx.set_header(key, text(&value))?,
            Act::Trailer(key, value) if key.ends_with("-bin") => {
                self.cx.set_trailer_bin(key, value)?;
            }
            Act::Trailer(key, value) => self.cx.set_trailer(key, text(&value))?,
            Act::Wait => {
                let mut released = self.guard.subject.released.subscribe();
                let _ = released.wait_for(|released| *released).await;
            }
            Act::Hang => std::future::pending().await,
            Act::Fail(status) => return Err(status),
            Act::Panic => panic!("as planned: this panic is part of a test"),
            Act::Call(plan) => {
                let client = self.guard.subject.state().client.clone();
                let client = client.expect("the bed sets the client before the first call");
                let options = CallOptions::new().metadata(PLAN, plan.to_string());
                client
                    .with(options)
                    .call(&self.cx, Bytes::from_static(b"inner"))
                    .await?;
            }
            Act::Read(count) => {
                for _ in 0..count {
                    if let Some(item) = self.request().await {
                        item?;
                    }
                }
            }
            Act::Delegate => {
                let requests = self.requests.take();
                let subject = Arc::clone(&self.guard.subject);
                tokio::spawn(async move {
                    let end = match requests {
                        Some(requests) => requests.collect().await.err(),
                        None => None,
                    };
                    subject.state().ends.push(end);
                    subject.delegated.add_one();
                });
                std::future::pending().await
            }
            Act::Answer(_) | Act::Items(..) | Act::Endless(_) | Act::Echo => {
                panic!("{act:?} has no meaning at this place of a plan")
            }
        }
        Ok(())
    }

    async fn request(&mut self) -> Option<Result<Bytes>> {
        let item = self.requests.as_mut()?.next().await?;
        self.guard.subject.taken.add_one();
        Some(item)
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Tells a handler that was dropped from one that came to its end.
struct Guard {
    subject: Arc<Subject>,
    done: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.done {
            self.subject.done.add_one();
        } else {
            self.subject.dropped.add_one();
        }
        self.subject.gone.add_one();
    }
}
