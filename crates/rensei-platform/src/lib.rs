//! The self-hosted control plane: store, queue, platform API
