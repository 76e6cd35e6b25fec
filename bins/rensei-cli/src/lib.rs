//! The `rensei` command as a library.
