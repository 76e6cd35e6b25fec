//! A configuration that changes while the host runs, by an editor or by the control plane.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_proto::control::RegistrationState;
use rensei_testkit::{Call, FakePlatform, TempHost, TempState};
use serde_json::json;
use std::fs;

fn config(host: &TempHost) -> String {
    fs::read_to_string(host.root().join("daemon.yaml")).unwrap()
}

/// The last allowlist that the control plane was told.
fn told(platform: &FakePlatform) -> Option<Vec<String>> {
    let beats = platform.requests_to(Call::Heartbeat);
    let list = beats.iter().rev().find_map(|beat| beat.json().get("allowlist").cloned())?;
    Some(list.as_array()?.iter().map(|entry| entry["id"].as_str().unwrap_or_default().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_changes_what_is_served_and_names_what_needs_a_restart() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Heartbeat, 1).await;
    let edited = config(&host)
        .replace("projects:", "autoUpdate: {drainTimeoutSeconds: 5}\nprojects:\n- {id: more, repository: /srv/more}");
    fs::write(host.root().join("daemon.yaml"), edited).unwrap();
    platform.until(|platform| (told(platform)? == ["app", "more"]).then_some(())).await;
    assert_eq!(host.handle().status().projects_allowed, 2);
    host.until(|host| (host.handle().status().restart_needed == ["autoUpdate.drainTimeoutSeconds"]).then_some(()))
        .await;
    let restored = config(&host).replace("autoUpdate: {drainTimeoutSeconds: 5}\n", "");
    fs::write(host.root().join("daemon.yaml"), restored).unwrap();
    host.until(|host| host.handle().status().restart_needed.is_empty().then_some(())).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_capacity_holds_at_once_and_one_that_was_set_stays() {
    let platform = FakePlatform::start().await;
    let host = TempState::with_slots(&platform, 3).start().await;
    let max = |host: &TempHost| host.handle().status().max_sessions;
    assert_eq!(max(&host), 3);
    fs::write(host.root().join("daemon.yaml"), config(&host).replace("Sessions: 3", "Sessions: 5")).unwrap();
    host.until(|host| (max(host) == 5).then_some(())).await;
    assert!(host.handle().status().restart_needed.is_empty());
    host.handle().set_capacity("capacity.maxConcurrentSessions", "7").unwrap();
    let more = config(&host).replace("projects:", "projects:\n- {id: more, repository: /srv/more}");
    fs::write(host.root().join("daemon.yaml"), more).unwrap();
    host.until(|host| (host.handle().status().projects_allowed == 2).then_some(())).await;
    assert_eq!(max(&host), 7, "the file says nothing new of the capacity");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_leaves_everything_as_it_is() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let good = config(&host);
    fs::write(host.root().join("daemon.yaml"), "projects: [").unwrap();
    let repaired = good.replace("projects:", "projects:\n- {id: more, repository: /srv/more}");
    // Longer than the debounce, so that the broken file is really looked at.
    platform.cadence(50, 1000);
    platform.until_more(Call::Heartbeat, 10).await;
    assert_eq!(host.handle().status().projects_allowed, 1);
    fs::write(host.root().join("daemon.yaml"), repaired).unwrap();
    host.until(|host| (host.handle().status().projects_allowed == 2).then_some(())).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_adds_and_removes_projects() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let add = json!({"id": "dmut_1", "op": "project.add", "params": {"id": "more", "repository": "/srv/more"}});
    platform.offer_mutation(add);
    platform.until(|platform| (told(platform)? == ["app", "more"]).then_some(())).await;
    platform.until(|platform| (platform.open_mutations() == 0).then_some(())).await;
    assert!(config(&host).contains("/srv/more"), "{}", config(&host));
    platform.offer_mutation(json!({"id": "dmut_2", "op": "project.remove", "params": {"id": "more"}}));
    platform.until(|platform| (told(platform)? == ["app"]).then_some(())).await;
    platform.until(|platform| (platform.open_mutations() == 0).then_some(())).await;
    assert!(!config(&host).contains("/srv/more"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_cannot_be_written_changes_nothing_and_is_told() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let broken = config(&host) + "projects: [\n";
    fs::write(host.root().join("daemon.yaml"), broken).unwrap();
    for (id, op, params, complaint) in [
        ("dmut_1", "project.add", json!({"id": "more", "repository": "/srv/more"}), "write config"),
        ("dmut_2", "project.add", json!({"id": "more"}), "requires repository"),
        ("dmut_3", "project.remove", json!({}), "requires id"),
        ("dmut_4", "project.rename", json!({"id": "app"}), "unsupported mutation op"),
    ] {
        platform.offer_mutation(json!({"id": id, "op": op, "params": params}));
        let failure = platform
            .until(|platform| {
                let beats = platform.requests_to(Call::Heartbeat);
                let mut failures = beats.iter().filter_map(|beat| beat.json()["mutationFailures"].as_array().cloned());
                failures.find_map(|list| list.into_iter().find(|failure| failure["id"] == id))
            })
            .await;
        assert!(failure["error"].as_str().unwrap().contains(complaint), "{failure}");
    }
    assert_eq!(host.handle().status().projects_allowed, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_in_the_file_lets_a_refused_host_in() {
    let platform = FakePlatform::start().await;
    let state = TempState::new(&platform);
    let right = fs::read_to_string(state.root().join("daemon.yaml")).unwrap();
    let (before, after) = right.split_once("}\nprojects").unwrap();
    fs::write(state.root().join("daemon.yaml"), format!("{before}-revoked}}\nprojects{after}")).unwrap();
    let host = state.start().await;
    host.until(|host| (host.handle().registration().state == RegistrationState::Refused).then_some(())).await;
    fs::write(host.root().join("daemon.yaml"), right).unwrap();
    platform.until_count(Call::Heartbeat, 1).await;
    host.until(|host| (host.handle().registration().state == RegistrationState::Registered).then_some(())).await;
    host.stop().await;
}
