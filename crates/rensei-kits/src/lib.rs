//! Kits: declarative packages that teach agents a toolchain.
//!
//! - [`Manifest`]: what a `*.kit.toml` says, with errors that name file, line and key.
//! - [`Detection`]: which kits apply to a working tree, where, and why.
//! - [`Composition`]: what they amount to together.
//! - [`Verifier`]: who signed a manifest, by its sigstore bundle.
//! - [`Registry`]: the kits of a host, and their installation from git.

mod command;
mod compose;
mod detect;
mod digest;
#[doc(hidden)]
pub mod fuzzing;
mod git;
mod kit;
mod manifest;
mod names;
mod registry;
mod target;
mod trust;

pub use command::{BoundedCommand, CommandError, Ran};
pub use compose::{AmbiguousClaims, Applied, Claim, Command, Composition, Hook, McpServer, Purpose, Skill, Text, Tool};
pub use detect::{Conflict, DetectError, Detection, Match, Probing, Rejection, Verdict, shown_root};
pub use git::{FetchError, FetchLimits, SnapshotError};
pub use kit::{Kit, MANIFEST_SUFFIX};
pub use manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError, ManifestWarning, Order};
pub use names::{InvalidKitId, KitId};
pub use registry::{KitError, Registry, RegistryOptions, Unusable};
pub use target::{CONTRACT_VERSION, Target};
pub use trust::{AllowedIdentity, InvalidIdentity, MAX_BUNDLE_BYTES, Signature, TrustPolicy, TrustRoot, Verifier};
