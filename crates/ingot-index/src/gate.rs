//! Who may read a space, and when it may change.
//!
//! Readers hold a pass for as long as they look, so that all they see is at one commit; a writer
//! waits for them and holds new ones back. `std::sync::RwLock` would do but for its guards, which
//! borrow from the lock and so could not be handed out of a growing map of spaces.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    readers: usize,
    waiting: usize,
    writing: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

thread_local! {
    /// The gates this thread reads behind. A thread that reads already is let in again whatever
    /// waits: it would otherwise wait for a writer that waits for it.
    static HELD: RefCell<Vec<*const Gate>> = const { RefCell::new(Vec::new()) };
}

/// The right to read; stays on its thread, and so cannot be held over an `await` that moves.
#[derive(Debug)]
pub(crate) struct ReadPass {
    gate: Arc<Gate>,
    stays: PhantomData<*const ()>,
}

pub(crate) struct WritePass<'a>(&'a Gate);

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_held(&self) -> bool {
        HELD.with_borrow(|held| held.contains(&std::ptr::from_ref(self)))
    }

    pub(crate) fn read(self: &Arc<Self>) -> ReadPass {
        let again = self.is_held();
        let mut state = self.lock();
        while !again && (state.writing || state.waiting > 0) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.readers += 1;
        HELD.with_borrow_mut(|held| held.push(Arc::as_ptr(self)));
        ReadPass { gate: self.clone(), stays: PhantomData }
    }

    /// # Panics
    /// When the thread itself still reads: waiting for that would take for ever.
    pub(crate) fn write(&self) -> WritePass<'_> {
        assert!(!self.is_held(), "a thread that holds a view cannot change the space");
        let mut state = self.lock();
        state.waiting += 1;
        while state.writing || state.readers > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.writing = true;
        WritePass(self)
    }
}

impl Drop for ReadPass {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| {
            if let Some(at) = held.iter().rposition(|gate| *gate == Arc::as_ptr(&self.gate)) {
                held.swap_remove(at);
            }
        });
        let mut state = self.gate.lock();
        state.readers -= 1;
        if state.readers == 0 {
            self.gate.changed.notify_all();
        }
    }
}

impl Drop for WritePass<'_> {
    fn drop(&mut self) {
        self.0.lock().writing = false;
        self.0.changed.notify_all();
    }
}
