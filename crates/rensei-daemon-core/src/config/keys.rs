//! All keys of the file in one table. The reference in `docs/config.md`, the keys that may be set and what a reload
//! does about a change come from here.

use super::model::{Config, Observability};

/// When a changed key takes effect in a running host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// As soon as the file is written.
    AtOnce,
    /// With the next start.
    Restart,
    /// It is read and checked, so that the file of another generation of hosts stays valid, and changes nothing here.
    Nothing,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its path; `[]` stands for every entry of a list.
    pub path: &'static str,
    /// Type and allowed values.
    pub kind: &'static str,
    /// What holds when it is absent.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// When a change takes effect.
    pub applies: Applies,
    /// A value that differs from the default.
    pub example: &'static str,
    /// Whether two configurations differ in it.
    pub(super) differs: fn(&Config, &Config) -> bool,
}

/// Whether the reference has `pattern`.
pub(super) fn is_key(pattern: &str) -> bool {
    KEYS.iter().any(|key| key.path == pattern)
}

/// Compares one field of two configurations.
macro_rules! field {
    ($($path:tt)+) => { |a, b| a.$($path)+ != b.$($path)+ };
}

/// Compares one field of the projects of two configurations, entry by entry.
macro_rules! project {
    ($($path:tt)+) => { |a, b| !a.projects.iter().map(|p| &p.$($path)+).eq(b.projects.iter().map(|p| &p.$($path)+)) };
}

/// Compares one field of the control planes of two configurations.
macro_rules! orchestrator {
    ($field:ident) => {
        |a, b| a.orchestrator.as_ref().map(|o| &o.$field) != b.orchestrator.as_ref().map(|o| &o.$field)
    };
}

/// Compares one field of `observability`; absent and empty are the same here.
macro_rules! observability {
    ($field:ident) => {
        |a, b| {
            let field = |observability: &Option<Observability>| observability.as_ref().and_then(|o| o.$field.clone());
            field(&a.observability) != field(&b.observability)
        }
    };
}

/// Every key, in the order of the reference.
pub const KEYS: &[Key] = &[
    Key {
        path: "apiVersion",
        kind: "text",
        default: "`rensei.dev/v1`",
        meaning: "Version of the schema. Any value is accepted.",
        applies: Applies::Nothing,
        example: "donmai.dev/v1",
        differs: field!(api_version),
    },
    Key {
        path: "kind",
        kind: "text",
        default: "`LocalDaemon`",
        meaning: "Kind of document. Any value is accepted.",
        applies: Applies::Nothing,
        example: "Other",
        differs: field!(kind),
    },
    Key {
        path: "machine.id",
        kind: "text",
        default: "from the host name",
        meaning: "Label of this machine, shown to people. The identity that the control plane knows is another one and \
                  never changes.",
        applies: Applies::Restart,
        example: "build-7",
        differs: field!(machine.id),
    },
    Key {
        path: "machine.region",
        kind: "text",
        default: "none",
        meaning: "Where the machine is; a hint about latency.",
        applies: Applies::Nothing,
        example: "home-network",
        differs: field!(machine.region),
    },
    Key {
        path: "capacity.maxConcurrentSessions",
        kind: "number",
        default: "8",
        meaning: "Sessions that run at once. 0: none are accepted.",
        applies: Applies::Restart,
        example: "3",
        differs: field!(capacity.max_concurrent_sessions),
    },
    Key {
        path: "capacity.maxVCpuPerSession",
        kind: "number",
        default: "4",
        meaning: "Processors of one session. 0: the default.",
        applies: Applies::Nothing,
        example: "2",
        differs: field!(capacity.max_vcpu_per_session),
    },
    Key {
        path: "capacity.maxMemoryMbPerSession",
        kind: "number",
        default: "8192",
        meaning: "Memory of one session, MiB. 0: the default.",
        applies: Applies::Nothing,
        example: "4096",
        differs: field!(capacity.max_memory_mb_per_session),
    },
    Key {
        path: "capacity.reservedForSystem.vCpu",
        kind: "number",
        default: "4",
        meaning: "Processors that are left to the machine.",
        applies: Applies::Nothing,
        example: "1",
        differs: field!(capacity.reserved_for_system.vcpu),
    },
    Key {
        path: "capacity.reservedForSystem.memoryMb",
        kind: "number",
        default: "16384",
        meaning: "Memory that is left to the machine, MiB.",
        applies: Applies::Nothing,
        example: "2048",
        differs: field!(capacity.reserved_for_system.memory_mb),
    },
    Key {
        path: "capacity.poolMaxDiskGb",
        kind: "number",
        default: "0",
        meaning: "Disk that idle workareas may take, GiB; the least recently used go first. 0: no limit.",
        applies: Applies::Nothing,
        example: "50",
        differs: field!(capacity.pool_max_disk_gb),
    },
    Key {
        path: "projects[].id",
        kind: "text",
        default: "required",
        meaning: "Name of the project. Work may ask for it by this name.",
        applies: Applies::AtOnce,
        example: "other",
        differs: project!(id),
    },
    Key {
        path: "projects[].repository",
        kind: "URL, `user@host:path`, `owner/name` (GitHub) or path",
        default: "required",
        meaning: "What is cloned and pushed to. `repoUrl` is read too.",
        applies: Applies::AtOnce,
        example: "https://example.com/o/other.git",
        differs: project!(repository),
    },
    Key {
        path: "projects[].cloneStrategy",
        kind: "`shallow`, `full` or `reference-clone`",
        default: "`shallow`",
        meaning: "How checkouts are made: newest commit only, whole history, or objects borrowed from the mirror.",
        applies: Applies::Nothing,
        example: "full",
        differs: project!(clone_strategy),
    },
    Key {
        path: "projects[].git.credentialHelper",
        kind: "name, path or `!command`",
        default: "git's own",
        meaning: "Value for git's `credential.helper`, such as `osxkeychain`, `manager` or `cache`.",
        applies: Applies::AtOnce,
        example: "cache",
        differs: project!(git.credential_helper),
    },
    Key {
        path: "projects[].git.sshKey",
        kind: "path",
        default: "ssh's own",
        meaning: "Private key for ssh remotes.",
        applies: Applies::AtOnce,
        example: "~/.ssh/id_build",
        differs: project!(git.ssh_key),
    },
    Key {
        path: "orchestrator.url",
        kind: "URL: `http://`, `https://` or `file://`",
        default: "required in `orchestrator`",
        meaning: "The control plane. Without `orchestrator`, or with `file://`, the host takes local sessions only.",
        applies: Applies::AtOnce,
        example: "https://platform.example.com",
        differs: orchestrator!(url),
    },
    Key {
        path: "orchestrator.authToken",
        kind: "text",
        default: "none",
        meaning: "Registration token. `${NAME}` is replaced from the environment of the host; a name that is not set \
                  stays as it is. `RENSEI_DAEMON_TOKEN` (or `DONMAI_DAEMON_TOKEN`) replaces the whole value. What \
                  replaced it is never written to the file.",
        applies: Applies::AtOnce,
        example: "rsp_live_0123456789",
        differs: orchestrator!(auth_token),
    },
    Key {
        path: "autoUpdate.channel",
        kind: "`stable`, `beta` or `main`",
        default: "`stable`",
        meaning: "Which releases are installed.",
        applies: Applies::Nothing,
        example: "beta",
        differs: field!(auto_update.channel),
    },
    Key {
        path: "autoUpdate.schedule",
        kind: "`nightly`, `on-release` or `manual`",
        default: "`nightly`",
        meaning: "When they are installed.",
        applies: Applies::Nothing,
        example: "manual",
        differs: field!(auto_update.schedule),
    },
    Key {
        path: "autoUpdate.drainTimeoutSeconds",
        kind: "number",
        default: "600",
        meaning: "How long a drain waits for running sessions. 0: the default.",
        applies: Applies::Restart,
        example: "60",
        differs: field!(auto_update.drain_timeout_seconds),
    },
    Key {
        path: "observability.logFormat",
        kind: "text",
        default: "none",
        meaning: "Format of the log, such as `ndjson`.",
        applies: Applies::Nothing,
        example: "ndjson",
        differs: observability!(log_format),
    },
    Key {
        path: "observability.logPath",
        kind: "path",
        default: "`daemon.log` in the state directory",
        meaning: "File of the log.",
        applies: Applies::Nothing,
        example: "~/logs/daemon.log",
        differs: observability!(log_path),
    },
    Key {
        path: "observability.metricsPort",
        kind: "number, 0 to 65535",
        default: "none",
        meaning: "Port of the metrics endpoint on the loopback address. 0: none.",
        applies: Applies::Nothing,
        example: "9101",
        differs: observability!(metrics_port),
    },
    Key {
        path: "workarea.archiveRoot",
        kind: "path",
        default: "`workareas` in the state directory",
        meaning: "Where archives of workareas are kept.",
        applies: Applies::Nothing,
        example: "/srv/archives",
        differs: |a, b| a.workarea.archive_root("".as_ref()) != b.workarea.archive_root("".as_ref()),
    },
    Key {
        path: "workarea.diffStreamingThreshold",
        kind: "number",
        default: "1000",
        meaning: "Entries of a diff above which it is answered line by line. 0: the default.",
        applies: Applies::Nothing,
        example: "50",
        differs: field!(workarea.diff_streaming_threshold),
    },
    Key {
        path: "kit.scanPaths[]",
        kind: "path",
        default: "`kits` in the state directory",
        meaning: "Directories with kits, in order; the first one also holds the state of the registry.",
        applies: Applies::Nothing,
        example: "/srv/kits",
        differs: |a, b| a.kit.scan_paths("".as_ref()) != b.kit.scan_paths("".as_ref()),
    },
    Key {
        path: "trust.mode",
        kind: "`permissive`, `signed-by-allowlist` or `attested`",
        default: "`permissive`",
        meaning: "What a kit must bring before it runs.",
        applies: Applies::Nothing,
        example: "attested",
        differs: field!(trust.mode),
    },
    Key {
        path: "trust.issuerSet[]",
        kind: "text",
        default: "empty: any signer that the root validates",
        meaning: "Identities that may sign kits. An empty entry is an error.",
        applies: Applies::Nothing,
        example: "release@example.com",
        differs: field!(trust.issuer_set),
    },
    Key {
        path: "trust.actor",
        kind: "text",
        default: "`uid:<uid>`",
        meaning: "Name for the audit log.",
        applies: Applies::Nothing,
        example: "ops",
        differs: field!(trust.actor),
    },
    Key {
        path: "control.auth",
        kind: "`same-user` or `open`",
        default: "`same-user`",
        meaning: "Who may change things over the control API: processes of the host's own user and root, or every \
                  process of this machine.",
        applies: Applies::Restart,
        example: "open",
        differs: field!(control.auth),
    },
];
