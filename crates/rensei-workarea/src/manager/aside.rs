//! Checkouts of sessions that are no more: out of the way at once, whatever becomes of them.

use super::{WorkareaManager, own_marker, remove};
use crate::archive::rename_new;
use crate::marker::Marker;
use crate::{WorkareaError, scratch};
use rensei_proto::SessionId;
use std::path::Path;

impl WorkareaManager {
    /// Moves the checkout of a session to `to`, as it is, out of the session's hands and out of the pool. False when there
    /// is none.
    ///
    /// # Errors
    /// When the file system refuses; the checkout is where it was then.
    pub fn set_aside(&self, session: &SessionId, to: &Path) -> Result<bool, WorkareaError> {
        let path = self.path(session);
        let Some(marker) = own_marker(&path)? else { return Ok(false) };
        rename_new(&path, to).map_err(|error| WorkareaError::io("set aside", &path, error))?;
        Marker::forget(&path);
        self.retire_held(session, &marker);
        Ok(true)
    }

    /// Deletes the checkout of a session, for start-up: it is out of the way when this returns. In the background
    /// `before` gets to see it, wherever it is by then, and then it is deleted.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn discard(
        &self,
        session: &SessionId,
        before: impl FnOnce(&Path) + Send + 'static,
    ) -> Result<(), WorkareaError> {
        let path = self.path(session);
        let Some(marker) = own_marker(&path)? else { return Ok(()) };
        remove(&path, |path| scratch::remove_later(path, before))?;
        self.retire_held(session, &marker);
        Ok(())
    }

    fn retire_held(&self, session: &SessionId, marker: &Marker) {
        if let Some(id) = self.inner.pool.held_by(session, &marker.entry) {
            self.inner.pool.retire(&id);
        }
    }
}
