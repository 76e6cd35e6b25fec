//! Work that waits for the disk, away from the threads of the runtime.

/// Runs something that blocks where it may, and panics as it does. When the runtime is shut down before it has begun, this
/// never returns.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down and will not poll us again.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use tokio::runtime::Builder;

    #[tokio::test]
    async fn panics_are_those_of_the_caller() {
        let task = tokio::spawn(blocking(|| panic!("on purpose")));
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"on purpose"));
        assert_eq!(blocking(|| 7).await, 7);
    }

    #[test]
    fn a_runtime_that_is_going_down_is_no_panic() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let gone = runtime.handle().clone();
        drop(runtime);
        let _entered = gone.enter();
        let asked = pin!(blocking(|| 7));
        assert!(asked.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
