//! Tasks that end with their owner.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// A task that is aborted when this is dropped. Awaiting it gives its value; a panic in it goes on in the awaiter.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(body: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(body))
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|joined| match joined {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
