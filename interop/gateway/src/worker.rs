//! The one thread of a link: started once, joined once.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::link::StartError;

/// A mutex whose data is whole after each statement that holds it, so that a panic elsewhere does no harm to it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
pub(crate) struct Worker(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    Running(JoinHandle<()>),
    Ended,
}

impl Worker {
    /// Runs what `prepare` gives on a thread of that name.
    pub(crate) fn start<W: FnOnce() + Send + 'static>(
        &self,
        name: &str,
        prepare: impl FnOnce() -> io::Result<W>,
    ) -> Result<(), StartError> {
        let mut state = lock(&self.0);
        if !matches!(*state, State::New) {
            return Err(StartError::Started);
        }
        let work = prepare()?;
        *state = State::Running(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// Waits for the thread, which has been told to end.
    pub(crate) fn join(&self) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Ended);
        if let State::Running(thread) = state
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("a link's thread panicked");
        }
    }
}
