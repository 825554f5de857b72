//! What the threads of one card share.

use super::inbox::Inbox;
use crate::pages::GuestRegion;
use crate::vmbus::Port;
use gateway::frames::Batch;
use gateway::{Delivery, FrameSink, Link};
use netvsc_proto::host::{DataPath, QueueStats, ReceiveLayout, SendLayout, Spreader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Memory that the guest lends to all queues.
#[derive(Clone)]
pub(super) struct Lent<L> {
    memory: Arc<GuestRegion>,
    pub(super) layout: L,
}

impl<L> Lent<L> {
    pub(super) fn new(memory: GuestRegion, layout: L) -> Option<Self> {
        Some(Self {
            memory: Arc::new(memory),
            layout,
        })
    }

    /// The memory, for another queue.
    pub(super) fn memory(&self) -> GuestRegion {
        GuestRegion::clone(&self.memory)
    }
}

/// Whether it is the same loan, not whether it is of the same kind.
impl<L> PartialEq for Lent<L> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.memory, &other.memory)
    }
}

/// What the primary channel tells the others.
#[derive(Clone, Default)]
pub(super) struct Settings {
    /// Counts the changes.
    pub(super) generation: u64,
    pub(super) data_path: DataPath,
    pub(super) receive: Option<Lent<ReceiveLayout>>,
    pub(super) send: Option<Lent<SendLayout>>,
}

/// A sub-channel that is open.
#[derive(Clone, Copy, Default)]
struct Follower {
    /// The settings that its queue has.
    generation: u64,
    stats: QueueStats,
}

struct State {
    settings: Settings,
    /// By sub-channel index, of which the first is 1.
    followers: Vec<Option<Follower>>,
    /// What closed sub-channels have counted since the primary channel was opened.
    closed: QueueStats,
}

/// What the threads of one card share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// That of `state`'s settings, to be looked at without the lock.
    generation: AtomicU64,
    /// Told when a sub-channel has followed or left.
    followed: Condvar,
    spreader: Mutex<Spreader>,
    /// By queue.
    inboxes: Vec<Mutex<Inbox>>,
}

impl Shared {
    pub(super) fn new(queues: usize) -> Self {
        Self {
            state: Mutex::new(State {
                settings: Settings::default(),
                followers: vec![None; queues.saturating_sub(1)],
                closed: QueueStats::default(),
            }),
            generation: AtomicU64::new(0),
            followed: Condvar::new(),
            spreader: Mutex::new(Spreader::new(&DataPath::default())),
            inboxes: (0..queues).map(|_| Mutex::new(Inbox::new())).collect(),
        }
    }

    /// A channel is open: frames may come, until what this returns is dropped.
    pub(super) fn join<'a>(&'a self, port: &'a Arc<Port>) -> Membership<'a> {
        if let Some(inbox) = self.inboxes.get(usize::from(port.index)) {
            lock(inbox).port = Some(Arc::clone(port));
        }
        let mut state = lock(&self.state);
        if let Some(follower) = state.follower(port.index) {
            *follower = Some(Follower::default());
        } else {
            state.closed = QueueStats::default();
        }
        drop(state);
        self.wake_primary();
        Membership { shared: self, port }
    }

    /// A channel is closed: frames for it are dropped.
    fn leave(&self, port: &Port) {
        if let Some(inbox) = self.inboxes.get(usize::from(port.index)) {
            let mut inbox = lock(inbox);
            inbox.port = None;
            inbox.clear();
        }
        let mut state = lock(&self.state);
        if let Some(left) = state.follower(port.index).and_then(Option::take) {
            state.closed = state.closed.plus(left.stats);
        }
        drop(state);
        self.followed.notify_all();
        self.wake_primary();
    }

    /// Channels that are open, the primary one included.
    pub(super) fn open_queues(&self) -> u16 {
        let state = lock(&self.state);
        let open = state.followers.iter().flatten().count();
        u16::try_from(open).unwrap_or(u16::MAX).saturating_add(1)
    }

    /// What all sub-channels have counted.
    pub(super) fn sub_channel_stats(&self) -> QueueStats {
        let state = lock(&self.state);
        let open = state.followers.iter().flatten();
        open.fold(state.closed, |sum, follower| sum.plus(follower.stats))
    }

    /// Keeps what a sub-channel has counted.
    pub(super) fn set_stats(&self, index: u16, stats: &QueueStats) {
        if let Some(Some(follower)) = lock(&self.state).follower(index) {
            follower.stats = *stats;
        }
    }

    /// Changes the settings and tells everybody.
    pub(super) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = lock(&self.state);
        let generation = state.settings.generation.wrapping_add(1);
        change(&mut state.settings);
        state.settings.generation = generation;
        *lock(&self.spreader) = Spreader::new(&state.settings.data_path);
        self.generation.store(generation, Ordering::Release);
        drop(state);
        for inbox in self.inboxes.iter().skip(1) {
            if let Some(port) = &lock(inbox).port {
                port.wake();
            }
        }
    }

    /// Changes the settings and waits until every sub-channel has followed, or left.
    pub(super) fn withdraw(&self, change: impl FnOnce(&mut Settings)) {
        self.change(change);
        let state = lock(&self.state);
        // Sub-channels never wait for the primary channel, so this ends.
        drop(
            self.followed
                .wait_while(state, |state| {
                    let generation = state.settings.generation;
                    state
                        .followers
                        .iter()
                        .flatten()
                        .any(|follower| follower.generation != generation)
                })
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// The settings, if they have changed since `generation`.
    pub(super) fn settings_since(&self, generation: u64) -> Option<Settings> {
        (self.generation.load(Ordering::Acquire) != generation).then(|| lock(&self.state).settings.clone())
    }

    /// A sub-channel's queue has these settings now.
    pub(super) fn followed(&self, index: u16, generation: u64) {
        if let Some(Some(follower)) = lock(&self.state).follower(index) {
            follower.generation = generation;
        }
        self.followed.notify_all();
    }

    /// Fetches the frames that wait for a queue; returns whether there are any. `frames` must be empty.
    pub(super) fn fetch(&self, queue: u16, frames: &mut Batch, link: &dyn Link) -> bool {
        let Some(inbox) = self.inboxes.get(usize::from(queue)) else {
            return false;
        };
        if lock(inbox).fetch(frames) {
            link.resume();
        }
        !frames.is_empty()
    }

    fn wake_primary(&self) {
        if let Some(inbox) = self.inboxes.first()
            && let Some(port) = &lock(inbox).port
        {
            port.wake();
        }
    }
}

/// That a channel is open. The others wait for it no more once it is gone, also when its thread has panicked.
pub(super) struct Membership<'a> {
    shared: &'a Shared,
    port: &'a Port,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.port);
    }
}

impl State {
    fn follower(&mut self, index: u16) -> Option<&mut Option<Follower>> {
        self.followers.get_mut(usize::from(index.checked_sub(1)?))
    }
}

impl FrameSink for Shared {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        let queue = lock(&self.spreader).queue_for(frame);
        match self.inboxes.get(usize::from(queue)) {
            Some(inbox) if !lock(inbox).put(frame) => Delivery::Full,
            _ => Delivery::Taken,
        }
    }

    fn flush(&self) {
        for inbox in &self.inboxes {
            lock(inbox).flush();
        }
    }

    fn link_changed(&self, _up: bool) {
        // The control engine asks the link when it is served.
        self.wake_primary();
    }
}

/// A thread that panicked while it held a lock left nothing half done: what is behind these locks are values that are replaced as a
/// whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
