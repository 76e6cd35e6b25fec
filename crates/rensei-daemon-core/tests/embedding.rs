//! `docs/embedding.md` names what exists.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{LocalRuntimes, OutputLine, WorkareaManager};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../../docs/embedding.md");
const BUILDER: &str = include_str!("../src/builder.rs");
const TABLES: &str = "\n## From the Go package\n";

/// Lists paths that the compiler has found: items, functions of types, those of traits, and generic ones by a call.
macro_rules! named {
    (
        $(item $($item:ident)::+;)*
        $(method $($method:ident)::+;)*
        $(required $($trait:ident)::+ . $required:ident;)*
        $(call $($type:ident)::+ . $generic:ident($($argument:expr),*);)*
    ) => {
        const NAMED: &[&str] = &[
            $(stringify!($($item)::+),)*
            $(stringify!($($method)::+),)*
            $(concat!(stringify!($($trait)::+), "::", stringify!($required)),)*
            $(concat!(stringify!($($type)::+), "::", stringify!($generic)),)*
        ];
        #[expect(unused_imports, reason = "that they can be imported is the test")]
        mod items {
            $(use $($item)::+ as _;)*
        }
        #[expect(dead_code, reason = "that it compiles is the test")]
        fn methods() {
            $(let _ = $($method)::+;)*
            $(let _ = |it: $($type)::+| drop(it.$generic($($argument),*));)*
        }
        mod required {
            $(
                #[expect(dead_code, reason = "that it compiles is the test")]
                fn $required<T: $($trait)::+>() {
                    let _ = T::$required;
                }
            )*
        }
    };
}

fn some<T>() -> T {
    unreachable!("nobody calls it")
}

named! {
    item rensei_daemon_core::ArchiveError;
    item rensei_daemon_core::Archives;
    item rensei_daemon_core::ClientOptions;
    item rensei_daemon_core::Daemon;
    item rensei_daemon_core::DaemonBuilder;
    item rensei_daemon_core::DaemonHandle;
    item rensei_daemon_core::EXIT_RESTART;
    item rensei_daemon_core::KitError;
    item rensei_daemon_core::KitRegistry;
    item rensei_daemon_core::LocalRuntimes;
    item rensei_daemon_core::OutputSink;
    item rensei_daemon_core::Phase;
    item rensei_daemon_core::ProviderRegistry;
    item rensei_daemon_core::SessionEvent;
    item rensei_daemon_core::UpdateHook;
    item rensei_daemon_core::config::AutoUpdate;
    item rensei_daemon_core::config::Capacity;
    item rensei_daemon_core::config::Channel;
    item rensei_daemon_core::config::CloneStrategy;
    item rensei_daemon_core::config::Config;
    item rensei_daemon_core::config::GitHints;
    item rensei_daemon_core::config::Kit;
    item rensei_daemon_core::config::Machine;
    item rensei_daemon_core::config::Observability;
    item rensei_daemon_core::config::Orchestrator;
    item rensei_daemon_core::config::Project;
    item rensei_daemon_core::config::Reserved;
    item rensei_daemon_core::config::Schedule;
    item rensei_daemon_core::config::Trust;
    item rensei_daemon_core::config::TrustMode;
    item rensei_daemon_core::config::Workarea;
    item rensei_daemon_core::config::inspect;
    item rensei_daemon_core::config::load;
    item rensei_platform_client::ClientError;
    item rensei_platform_client::PlatformClient;
    item rensei_proto::ModelProfile;
    item rensei_proto::ResolvedProfile;
    item rensei_proto::Resources;
    item rensei_proto::SessionDetail;
    item rensei_proto::SessionSpec;
    item rensei_proto::StageBudget;
    item rensei_proto::control::Capabilities;
    item rensei_proto::control::DEFAULT_PORT;
    item rensei_proto::control::DiffEntry;
    item rensei_proto::control::DiffSummary;
    item rensei_proto::control::EvictPoolRequest;
    item rensei_proto::control::EvictPoolResponse;
    item rensei_proto::control::KitDetail;
    item rensei_proto::control::KitInstallRequest;
    item rensei_proto::control::KitInstallResult;
    item rensei_proto::control::KitSignature;
    item rensei_proto::control::KitSource;
    item rensei_proto::control::KitSummary;
    item rensei_proto::control::RestoreRequest;
    item rensei_proto::control::RoutingConfig;
    item rensei_proto::control::RoutingDecision;
    item rensei_proto::control::RoutingStep;
    item rensei_proto::control::RoutingWeights;
    item rensei_proto::control::SessionHandle;
    item rensei_proto::control::SessionState;
    item rensei_proto::control::UpdateResult;
    item rensei_proto::control::WorkareaDetail;
    item rensei_proto::control::WorkareaDiff;
    item rensei_proto::control::WorkareaPoolStats;
    item rensei_proto::control::WorkareaSummary;
    item rensei_proto::platform::AllowlistEntry;
    item rensei_proto::platform::HeartbeatRequest;
    item rensei_proto::platform::HostActivity;
    item rensei_proto::platform::HostStatus;
    item rensei_proto::platform::MutationFailure;
    item rensei_proto::platform::PendingMutation;
    item rensei_proto::platform::PollItem;
    item rensei_proto::platform::PollResponse;
    item rensei_proto::platform::Provides;
    item rensei_proto::platform::RegisterRequest;
    item rensei_proto::platform::RegisterResponse;
    method rensei_daemon_core::Archives::get;
    method rensei_daemon_core::Archives::list;
    method rensei_daemon_core::Archives::new;
    method rensei_daemon_core::Archives::restore;
    method rensei_daemon_core::Archives::root;
    method rensei_daemon_core::Archives::saturated;
    method rensei_daemon_core::Daemon::builder;
    method rensei_daemon_core::Daemon::run;
    method rensei_daemon_core::DaemonBuilder::base_environment;
    method rensei_daemon_core::DaemonBuilder::client_options;
    method rensei_daemon_core::DaemonBuilder::clock;
    method rensei_daemon_core::DaemonBuilder::config_path;
    method rensei_daemon_core::DaemonBuilder::jwt_path;
    method rensei_daemon_core::DaemonBuilder::worker_command;
    method rensei_daemon_core::DaemonHandle::archives;
    method rensei_daemon_core::DaemonHandle::capabilities;
    method rensei_daemon_core::DaemonHandle::drain;
    method rensei_daemon_core::DaemonHandle::events;
    method rensei_daemon_core::DaemonHandle::explain_routing;
    method rensei_daemon_core::DaemonHandle::heartbeat;
    method rensei_daemon_core::DaemonHandle::live_sessions;
    method rensei_daemon_core::DaemonHandle::pause;
    method rensei_daemon_core::DaemonHandle::phase;
    method rensei_daemon_core::DaemonHandle::post_session;
    method rensei_daemon_core::DaemonHandle::registered;
    method rensei_daemon_core::DaemonHandle::registration;
    method rensei_daemon_core::DaemonHandle::restore_workarea;
    method rensei_daemon_core::DaemonHandle::resume;
    method rensei_daemon_core::DaemonHandle::routing_config;
    method rensei_daemon_core::DaemonHandle::session_detail;
    method rensei_daemon_core::DaemonHandle::set_max_sessions;
    method rensei_daemon_core::DaemonHandle::set_projects;
    method rensei_daemon_core::DaemonHandle::status;
    method rensei_daemon_core::DaemonHandle::stop;
    method rensei_daemon_core::DaemonHandle::update;
    method rensei_daemon_core::DaemonHandle::workareas;
    method rensei_daemon_core::KitRegistry::get;
    method rensei_daemon_core::KitRegistry::install;
    method rensei_daemon_core::KitRegistry::list;
    method rensei_daemon_core::KitRegistry::new;
    method rensei_daemon_core::KitRegistry::scan_paths;
    method rensei_daemon_core::KitRegistry::set_enabled;
    method rensei_daemon_core::KitRegistry::set_source_enabled;
    method rensei_daemon_core::KitRegistry::sources;
    method rensei_daemon_core::KitRegistry::verify;
    method rensei_daemon_core::PreparedDaemon::config;
    method rensei_daemon_core::config::ConfigFile::update;
    method rensei_daemon_core::config::Kit::scan_paths;
    method rensei_platform_client::PlatformClient::refresh_token;
    method rensei_platform_client::PlatformClient::register;
    required rensei_daemon_core::FetchedUpdate . install;
    required rensei_daemon_core::OutputSink . line;
    required rensei_daemon_core::ProviderRegistry . providers;
    required rensei_daemon_core::UpdateHook . fetch;
    required rensei_daemon_core::WorkareaProvider . evict;
    required rensei_daemon_core::WorkareaProvider . stats;
    call rensei_daemon_core::Archives . diff("", "", |_| ControlFlow::Continue(()));
    call rensei_daemon_core::DaemonBuilder . machine("", 1);
    call rensei_daemon_core::DaemonBuilder . output_sink(|_: OutputLine<'_>| {});
    call rensei_daemon_core::DaemonBuilder . pre_spawn_hook(Duration::ZERO, |_, environment| Ok(environment));
    call rensei_daemon_core::DaemonBuilder . provider_registry(some::<LocalRuntimes>());
    call rensei_daemon_core::DaemonBuilder . version("");
    call rensei_daemon_core::DaemonBuilder . workarea_provider(some::<WorkareaManager>());
    call rensei_daemon_core::DaemonHandle . wait_for_phase(|_| true);
}

/// Rows of all tables: names of the Go package, Rust paths, what else there is to say.
fn rows() -> Vec<[&'static str; 3]> {
    let (_, tables) = DOCUMENT.split_once(TABLES).unwrap();
    let rows = tables.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().unwrap_or_else(|_| panic!("{row} has three cells"))
    })
    .collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn each_rust_path_of_the_tables_exists_and_each_go_name_has_one_or_a_reason() {
    let paths = |text: &&str| text.replace(' ', "");
    let named: BTreeSet<String> = NAMED.iter().map(paths).collect();
    let written: BTreeSet<String> = rows().iter().flat_map(|[_, rust, _]| quoted(rust)).collect();
    assert_eq!(written, named);
    for [go, rust, note] in rows() {
        assert!(rust != "–" || !note.is_empty(), "{go} has neither a path nor a reason");
    }
}

#[test]
fn no_go_name_comes_twice() {
    let names: Vec<String> = rows().iter().flat_map(|[go, ..]| quoted(go).collect::<Vec<_>>()).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert!(names.len() > 200, "{}", names.len());
    assert_eq!(names.len(), distinct.len());
}

#[test]
fn each_option_of_the_builder_is_in_its_table() {
    let options: Vec<&str> = BUILDER
        .lines()
        .filter_map(|line| line.strip_prefix("    pub fn ")?.split_once("(mut self"))
        .map(|(name, _)| name.split('<').next().unwrap())
        .collect();
    assert!(options.contains(&"workarea_provider") && options.contains(&"pre_spawn_hook"), "{options:?}");
    let (_, table) = DOCUMENT.split_once("\n## Builder\n").unwrap();
    let (table, _) = table.split_once("\n**").unwrap();
    for option in options {
        assert!(table.contains(&format!("\n| `{option}(")), "`{option}` is missing");
    }
}
