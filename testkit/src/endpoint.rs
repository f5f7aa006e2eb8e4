//! What endpoints that can be told to misbehave have in common: they keep what they took, tell
//! whoever listens, and know how to answer.

use crate::engine::AnyError;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What an endpoint took, and its mood.
pub(crate) struct Kept<T, M> {
    taken: Mutex<Vec<T>>,
    mood: Mutex<M>,
    listeners: Mutex<Vec<UnboundedSender<T>>>,
    asked: Notify,
}

impl<T: Clone, M: Copy> Kept<T, M> {
    pub(crate) fn new(mood: M) -> Self {
        Self {
            taken: Mutex::default(),
            mood: Mutex::new(mood),
            listeners: Mutex::default(),
            asked: Notify::new(),
        }
    }

    /// Everything taken so far.
    pub(crate) fn all(&self) -> Vec<T> {
        locked(&self.taken).clone()
    }

    pub(crate) fn mood(&self) -> M {
        *locked(&self.mood)
    }

    pub(crate) fn set_mood(&self, mood: M) {
        *locked(&self.mood) = mood;
    }

    /// Waits until somebody asks for something that is kept.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Wakes whoever waits in [`Self::asked`].
    pub(crate) fn note_asked(&self) {
        self.asked.notify_one();
    }

    /// Everything from now on, as it is taken.
    pub(crate) fn listen(&self) -> UnboundedReceiver<T> {
        let (sender, receiver) = unbounded_channel();
        locked(&self.listeners).push(sender);
        receiver
    }

    /// Takes one more, and says how many there are.
    pub(crate) fn take(&self, one: T) -> usize {
        for listener in locked(&self.listeners).iter() {
            let _ = listener.send(one.clone());
        }
        let mut taken = locked(&self.taken);
        taken.push(one);
        taken.len()
    }
}

/// The content of `mutex`, whatever happened to whoever held it before.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers every request to `listener` by its body; returns the URL.
pub(crate) fn serve<A, F>(
    listener: TcpListener,
    content_type: &'static str,
    answer: A,
) -> Result<String, AnyError>
where
    A: Fn(Bytes) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = (StatusCode, String)> + Send,
{
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(move |body: Bytes| {
        let answer = answer(body);
        async move {
            let (status, text) = answer.await;
            (status, [("content-type", content_type)], text)
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
