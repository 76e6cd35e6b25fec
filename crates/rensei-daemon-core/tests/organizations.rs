//! More than one organisation on one host, each with a control plane of its own.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_proto::control::{Organization, RegistrationState, SessionState};
use rensei_proto::{SessionDetail, SessionId};
use rensei_testkit::{Call, FakePlatform, REGISTRATION_TOKEN, Recorded, TempHost, TempState, WorkItem};
use serde_json::json;
use std::fs;
use std::path::Path;

const PARTNER_TOKEN: &str = "rsp_live_s3cr3t-mark-partner";

/// The control planes of the main organisation and of `partner`.
async fn planes() -> (FakePlatform, FakePlatform) {
    let (main, partner) = (FakePlatform::start().await, FakePlatform::start().await);
    main.identify(REGISTRATION_TOKEN, "main");
    partner.identify(PARTNER_TOKEN, "partner");
    (main, partner)
}

async fn both() -> (FakePlatform, FakePlatform, TempHost) {
    let (main, partner) = planes().await;
    let host = TempState::new(&main).with_org("partner", partner.url(), PARTNER_TOKEN).start().await;
    (main, partner, host)
}

fn until_exists(path: &Path) -> String {
    format!("while [ ! -e '{}' ]; do sleep 0.02; done", path.display())
}

fn org(host: &TempHost, name: &str) -> Option<Organization> {
    host.handle().organizations().into_iter().find(|org| org.name == name)
}

fn registered(host: &TempHost, name: &str) -> Option<()> {
    let org = org(host, name)?;
    (org.registration.state == RegistrationState::Registered).then_some(())
}

fn detail(host: &TempHost, id: &str) -> SessionDetail {
    host.handle().session_detail(&SessionId::parse(id).unwrap()).unwrap()
}

fn partner_file(host: &TempHost) -> std::path::PathBuf {
    host.root().join("daemon-partner.yaml")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_organisation_has_its_own_identity_projects_and_sessions() {
    let (main, partner, host) = both().await;
    main.enqueue(&WorkItem::new("of-main").attempt(1));
    partner.enqueue(&WorkItem::new("of-partner").attempt(1));
    main.ended("of-main").await;
    partner.ended("of-partner").await;
    assert!(!main.ends().contains_key("of-partner") && !partner.ends().contains_key("of-main"));
    let view = host.ended("of-partner").await;
    assert_eq!((view.organization.as_deref(), view.repository.as_str()), (Some("partner"), "/srv/partner"));
    assert_eq!(host.ended("of-main").await.organization, None);
    host.until(|host| registered(host, "").and(registered(host, "partner"))).await;
    for (name, platform) in [("", &main), ("partner", &partner)] {
        let shown = org(&host, name).unwrap();
        assert_eq!((shown.registration.url.as_str(), shown.projects_allowed), (platform.url(), 1));
        let registration = platform.requests_to(Call::Register)[0].json();
        assert_eq!(registration["hostname"], "test", "the machine is the same for all");
        let beats = platform.requests_to(Call::Heartbeat);
        let repository = if name.is_empty() { "/srv/app" } else { "/srv/partner" };
        assert_eq!(beats[0].json()["allowlist"], json!([{"id": "app", "repository": repository}]));
    }
    let machines: Vec<_> =
        [&main, &partner].map(|p| p.requests_to(Call::Register)[0].json()["machineId"].clone()).into();
    assert_eq!(machines[0], machines[1]);
    let caches = ["daemon.jwt", "daemon-partner.jwt"].map(|file| fs::read_to_string(host.root().join(file)).unwrap());
    assert!(caches[0].contains("main-") && !caches[0].contains("partner-"), "{caches:?}");
    assert!(caches[1].contains("partner-") && !caches[1].contains("main-"), "{caches:?}");
    // What is posted on this machine is for the main organisation's projects.
    let post = |repository: &str| json!({"sessionId": "own", "repository": repository, "env": {"SCRIPT": "exit 0"}});
    let refused = host.handle().post_session(serde_json::from_value(post("/srv/partner")).unwrap()).await.unwrap_err();
    assert_eq!(refused.http_status(), 400);
    host.handle().post_session(serde_json::from_value(post("/srv/app")).unwrap()).await.unwrap();
    host.stop().await;
}

/// Everything that a session can see of the credentials of its host.
fn seen_by(host: &TempHost, id: &str) -> String {
    let pid = host.view(id).unwrap().pid;
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let detail = serde_json::to_string(&detail(host, id)).unwrap();
    let directory = host.root().join("sessions").join(id);
    let files: String = fs::read_dir(directory)
        .unwrap()
        .flatten()
        .filter_map(|file| fs::read(file.path()).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    format!("{}\n{detail}\n{files}", String::from_utf8_lossy(&environ))
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_one_organisation_never_reach_a_session_of_another() {
    let (main, partner, host) = both().await;
    let go = host.root().join("go");
    // The worker prints its whole environment, so that the output is looked through as well.
    let script = format!("env; {}", until_exists(&go));
    for (platform, id) in [(&main, "of-main"), (&partner, "of-partner")] {
        platform.enqueue(&WorkItem::new(id).attempt(1).script(&script));
        platform.reported(id, "running").await;
    }
    let output = |id: &str| host.root().join("sessions").join(id).join("output.log");
    for id in ["of-main", "of-partner"] {
        host.until(|_| fs::read_to_string(output(id)).unwrap().contains("RENSEI_SESSION_ID").then_some(())).await;
    }
    for (id, own, url, foreign) in [
        ("of-main", "main-", main.url(), ["partner-", PARTNER_TOKEN, partner.url()]),
        ("of-partner", "partner-", partner.url(), ["main-", REGISTRATION_TOKEN, main.url()]),
    ] {
        let seen = seen_by(&host, id);
        assert!(seen.contains(&format!("wkr_{own}")) && seen.contains(url), "{seen}");
        let token = detail(&host, id).auth_token.unwrap();
        assert!(token.expose().contains(own), "its own runtime token");
        for secret in foreign {
            // Ids of sessions, and paths of the projects, are none of it.
            let leaked = seen.replace("/srv/partner", "").matches(secret).count();
            assert_eq!(leaked, 0, "{secret} in {seen}");
        }
        for registration in [REGISTRATION_TOKEN, PARTNER_TOKEN] {
            assert!(!seen.contains(registration), "{registration} is for the host alone");
        }
    }
    fs::write(go, "").unwrap();
    main.ended("of-main").await;
    partner.ended("of-partner").await;
    // Nobody heard of the other one's tokens either.
    for (platform, foreign) in [(&main, ["partner-", PARTNER_TOKEN]), (&partner, ["main-", REGISTRATION_TOKEN])] {
        for request in platform.requests() {
            let said = format!("{} {:?} {}", request.path, request.bearer, String::from_utf8_lossy(&request.body));
            assert!(!foreign.iter().any(|secret| said.contains(secret)), "{said}");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_reaches_its_own_sessions_only() {
    let (main, partner, host) = both().await;
    let go = host.root().join("go");
    main.enqueue(&WorkItem::new("shared-id").attempt(1).script(&until_exists(&go)));
    main.reported("shared-id", "running").await;
    partner.offer_mutation(json!({"id": "dmut_1", "op": "session.kill", "params": {"sessionId": "shared-id"}}));
    partner.until(|partner| (partner.open_mutations() == 0).then_some(())).await;
    // Neither a kill, nor an item of the same id and whatever attempt.
    for attempt in [1, 2] {
        partner.enqueue(&WorkItem::new("shared-id").attempt(attempt));
        partner.until_count(Call::Nack, attempt as usize).await;
    }
    assert_eq!(host.view("shared-id").unwrap().state, SessionState::Running);
    let beats = partner.requests_to(Call::Heartbeat);
    assert!(beats.iter().all(|beat| beat.json()["sessions"] == json!([])), "not told what others hold");
    fs::write(go, "").unwrap();
    assert_eq!(main.ended("shared-id").await["status"], "completed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_is_added_changed_and_removed_while_the_host_runs() {
    let (main, partner) = planes().await;
    let host = TempState::new(&main).start().await;
    main.until_count(Call::Heartbeat, 1).await;
    assert_eq!(host.handle().organizations().len(), 1);

    host.write_org("partner", partner.url(), "rsp_live_wrong");
    host.until(|host| (org(host, "partner")?.registration.state == RegistrationState::Refused).then_some(())).await;
    // Another token, which lets it in at once.
    host.write_org("partner", partner.url(), PARTNER_TOKEN);
    host.until(|host| registered(host, "partner")).await;
    let go = host.root().join("go");
    partner.enqueue(&WorkItem::new("last").attempt(1).script(&until_exists(&go)));
    partner.reported("last", "running").await;

    fs::remove_file(partner_file(&host)).unwrap();
    fs::remove_file(host.root().join("daemon-partner.jwt")).unwrap();
    host.until(|host| org(host, "partner").filter(|org| org.leaving && org.active_sessions == 1)).await;
    partner.until(|p| (p.requests_to(Call::Heartbeat).last()?.json()["status"] == "draining").then_some(())).await;
    let beat = partner.requests_to(Call::Heartbeat).last().unwrap().json();
    assert_eq!(beat["sessions"], json!([{"sessionId": "last", "attempt": 1}]), "its lease is renewed");
    // Its token runs out meanwhile. The host still knows how to get another one, and leaves no trace of it.
    partner.expire_tokens();
    partner.until_count(Call::RefreshToken, 1).await;
    fs::write(go, "").unwrap();
    assert_eq!(partner.ended("last").await["status"], "completed");
    host.until(|host| org(host, "partner").is_none().then_some(())).await;
    assert!(!host.root().join("daemon-partner.jwt").exists(), "what was removed stays removed");
    let (beats, polls) = (partner.count(Call::Heartbeat), partner.count(Call::Poll));
    main.until_more(Call::Heartbeat, 10).await;
    assert_eq!((partner.count(Call::Heartbeat), partner.count(Call::Poll)), (beats, polls), "its lanes have ended");
    // The main organisation was not concerned by any of it.
    assert_eq!((main.count(Call::Register), main.count(Call::RefreshToken)), (1, 0));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_back_is_the_same_worker_with_its_sessions() {
    let (_main, partner, host) = both().await;
    let go = host.root().join("go");
    partner.enqueue(&WorkItem::new("s").attempt(1).script(&until_exists(&go)));
    partner.reported("s", "running").await;
    fs::remove_file(partner_file(&host)).unwrap();
    host.until(|host| org(host, "partner").filter(|org| org.leaving)).await;
    host.write_org("partner", partner.url(), PARTNER_TOKEN);
    host.until(|host| org(host, "partner").filter(|org| !org.leaving)).await;
    partner.enqueue(&WorkItem::new("next").attempt(1));
    partner.ended("next").await;
    fs::write(go, "").unwrap();
    partner.ended("s").await;
    assert_eq!(partner.count(Call::Register), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_another_control_plane_leaves_running_sessions_where_they_came_from() {
    let (main, partner, host) = both().await;
    let third = FakePlatform::start().await;
    third.identify(PARTNER_TOKEN, "third");
    let go = host.root().join("go");
    for (platform, id) in [(&main, "old-main"), (&partner, "old-partner")] {
        platform.enqueue(&WorkItem::new(id).attempt(1).script(&until_exists(&go)));
        platform.reported(id, "running").await;
    }
    host.write_org("partner", third.url(), PARTNER_TOKEN);
    third.enqueue(&WorkItem::new("new").attempt(1));
    third.ended("new").await;
    // The same for the main file: it is one of them.
    let fourth = FakePlatform::start().await;
    let text = fs::read_to_string(host.root().join("daemon.yaml")).unwrap();
    fs::write(host.root().join("daemon.yaml"), text.replace(main.url(), fourth.url())).unwrap();
    fourth.enqueue(&WorkItem::new("newer").attempt(1));
    fourth.ended("newer").await;
    assert!(host.handle().status().restart_needed.is_empty());
    fs::write(go, "").unwrap();
    assert_eq!(main.ended("old-main").await["status"], "completed");
    assert_eq!(partner.ended("old-partner").await["status"], "completed");
    host.until(|host| (host.handle().organizations().len() == 2).then_some(())).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_and_heartbeats_are_told_for_each_organisation() {
    let (main, partner) = planes().await;
    let host = TempState::new(&main).with_org("partner", partner.url(), PARTNER_TOKEN).start().await;
    let beats = |host: &TempHost| {
        let beat = host.handle().heartbeat();
        (!beat.sent_at.is_empty() && beat.organizations.iter().all(|org| !org.sent_at.is_empty())).then_some(beat)
    };
    host.until(|host| beats(host)).await;
    partner.enqueue(&WorkItem::new("s1").attempt(1).script("sleep 60"));
    partner.reported("s1", "running").await;
    // The beat that tells of it comes at once.
    let beat = host.until(|host| beats(host).filter(|beat| beat.organizations[0].active_sessions == 1)).await;
    let stats = host.handle().stats(false, false);
    let [first, second] = &stats.organizations[..] else { panic!("{stats:?}") };
    assert_eq!((first.name.as_str(), first.active_sessions, first.worker_id.as_str()), ("", 0, &*stats.worker_id));
    assert_eq!((&first.allowed_projects, &first.registration.poll_running), (&stats.allowed_projects, &true));
    assert_eq!((second.name.as_str(), second.active_sessions), ("partner", 1));
    assert_eq!(
        (&second.allowed_projects[..], second.registration.heartbeat_running),
        (&["/srv/partner".to_owned()][..], true)
    );
    assert_eq!(second.worker_id, org(&host, "partner").unwrap().registration.worker_id);
    let [theirs] = &beat.organizations[..] else { panic!("{beat:?}") };
    assert_eq!(
        (theirs.name.as_str(), &theirs.worker_id, theirs.status.as_str()),
        ("partner", &second.worker_id, "idle")
    );
    assert_ne!((&theirs.worker_id, &theirs.allowlist_hash), (&beat.worker_id, &beat.allowlist_hash));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_shown_and_leaves_everything_as_it_is() {
    let (main, partner) = planes().await;
    let state = TempState::new(&main).with_org("partner", partner.url(), PARTNER_TOKEN);
    fs::write(state.root().join("daemon-broken.yaml"), "projects: [").unwrap();
    fs::write(state.root().join("daemon-not a name.yaml"), "").unwrap();
    fs::create_dir(state.root().join("daemon-directory.yaml")).unwrap();
    let host = state.start().await;
    host.until(|host| registered(host, "partner")).await;
    let broken = org(&host, "broken").unwrap();
    assert!(broken.config_error.unwrap().contains("daemon-broken.yaml:"), "file and line");
    assert_eq!((broken.registration.state, broken.projects_allowed), (RegistrationState::Local, 0));
    assert!(org(&host, "directory").unwrap().config_error.is_some());
    let nameless = org(&host, "not a name").unwrap();
    assert!(nameless.config_error.unwrap().contains("daemon-not a name.yaml: its name is none of an organisation"));
    assert_eq!(host.handle().organizations().len(), 5);
    // What is for the main file to say is named, and has no effect.
    let text = fs::read_to_string(partner_file(&host)).unwrap();
    fs::write(partner_file(&host), format!("{text}capacity: {{maxConcurrentSessions: 1}}\nteh-typo: 1\n")).unwrap();
    let odd = host.until(|host| org(host, "partner").filter(|org| !org.ignored_keys.is_empty())).await;
    assert_eq!((odd.ignored_keys, odd.config_error), (vec!["capacity".to_owned(), "teh-typo".to_owned()], None));
    assert_eq!(host.handle().status().max_sessions, 8);
    fs::remove_file(host.root().join("daemon-not a name.yaml")).unwrap();
    host.until(|host| org(host, "not a name").is_none().then_some(())).await;
    // One that was good goes on with what it said.
    fs::write(partner_file(&host), "orchestrator: {url: nowhere}").unwrap();
    let shown = host.until(|host| org(host, "partner").filter(|org| org.config_error.is_some())).await;
    assert!(shown.config_error.unwrap().contains("orchestrator.url"));
    partner.enqueue(&WorkItem::new("still").attempt(1));
    partner.ended("still").await;
    host.write_org("partner", partner.url(), PARTNER_TOKEN);
    host.until(|host| org(host, "partner").filter(|org| org.config_error.is_none())).await;
    host.write_org("broken", partner.url(), PARTNER_TOKEN);
    host.until(|host| registered(host, "broken")).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_queued_items_of_one_do_not_starve_the_other() {
    let (main, partner) = planes().await;
    for platform in [&main, &partner] {
        platform.batch(1);
        platform.requeue_refused(true);
    }
    for nth in 0..500 {
        main.enqueue(&WorkItem::new(&format!("main-{nth}")).attempt(1));
    }
    let state = TempState::with_slots(&main, 2).with_org("partner", partner.url(), PARTNER_TOKEN);
    let host = state.start().await;
    main.until(|main| (main.ends().len() >= 10).then_some(())).await;
    host.until(|host| registered(host, "partner")).await;
    let before = main.ends().len();
    for nth in 0..20 {
        partner.enqueue(&WorkItem::new(&format!("partner-{nth}")).attempt(1));
    }
    partner.until(|partner| (partner.ends().len() == 20).then_some(())).await;
    let meanwhile = main.ends().len() - before;
    assert!(meanwhile < 120, "{meanwhile} sessions of one while 20 of the other had to wait");
    assert!(main.queued() > 300, "{}", main.queued());
    // And what the other does not need is no reserve: the rest runs.
    main.until(|main| (main.ends().len() >= before + meanwhile + 50).then_some(())).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_that_becomes_free_goes_to_whoever_has_the_least() {
    let (main, partner) = planes().await;
    for platform in [&main, &partner] {
        platform.batch(1);
        platform.requeue_refused(true);
    }
    let host = TempState::with_slots(&main, 2).with_org("partner", partner.url(), PARTNER_TOKEN).start().await;
    let go = |id: &str| host.root().join(id);
    for id in ["a1", "a2", "a3"] {
        main.enqueue(&WorkItem::new(id).attempt(1).script(&until_exists(&go(id))));
    }
    for id in ["a1", "a2"] {
        main.reported(id, "running").await;
    }
    partner.enqueue(&WorkItem::new("b1").attempt(1).script(&until_exists(&go("b1"))));
    // Until the partner's lane has seen that there is no room, and waits for it.
    partner.until_more(Call::Heartbeat, 3).await;
    fs::write(go("a1"), "").unwrap();
    partner.reported("b1", "running").await;
    assert!(host.view("a3").is_none(), "a third one of the same would not have been fair");
    for id in ["a2", "a3", "b1"] {
        fs::write(go(id), "").unwrap();
    }
    main.ended("a3").await;
    partner.ended("b1").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_hangs_does_not_hold_up_the_others() {
    let (main, partner) = planes().await;
    partner.always(Call::Poll, rensei_testkit::Fault::Hang);
    let host = TempState::new(&main).with_org("partner", partner.url(), PARTNER_TOKEN).start().await;
    partner.until_count(Call::Poll, 1).await;
    for nth in 0..5 {
        let id = format!("s{nth}");
        main.enqueue(&WorkItem::new(&id).attempt(1));
        main.ended(&id).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_every_organisation_survive_a_crash_and_are_reported_where_they_came_from() {
    let (main, partner) = planes().await;
    let gone = FakePlatform::start().await;
    gone.identify("rsp_live_s3cr3t-mark-gone", "gone");
    let state = TempState::new(&main).with_org("partner", partner.url(), PARTNER_TOKEN).with_org(
        "gone",
        gone.url(),
        "rsp_live_s3cr3t-mark-gone",
    );
    let host = state.start_apart().await;
    let go = host.root().join("go");
    for (platform, id) in [(&main, "of-main"), (&partner, "of-partner"), (&gone, "of-gone")] {
        platform.enqueue(&WorkItem::new(id).attempt(4).script(&until_exists(&go)));
        platform.reported(id, "running").await;
    }
    let state = host.crash().await;
    let beats = gone.count(Call::Heartbeat);
    // One is removed while nothing runs; what its identity was is still there.
    fs::remove_file(state.root().join("daemon-gone.yaml")).unwrap();
    let host = state.start().await;
    assert!(org(&host, "gone").unwrap().leaving);
    for (id, own) in [("of-main", "main-"), ("of-partner", "partner-"), ("of-gone", "gone-")] {
        host.until(|host| detail(host, id).auth_token.filter(|token| token.expose().contains(own)).map(|_its_own| ()))
            .await;
        assert!(host.view(id).unwrap().adopted, "{id}");
    }
    fs::write(go, "").unwrap();
    for (platform, id) in [(&main, "of-main"), (&partner, "of-partner"), (&gone, "of-gone")] {
        let end = platform.ended(id).await;
        assert_eq!((end["status"].as_str(), end["attempt"].as_u64()), (Some("failed"), Some(4)), "{id}");
    }
    host.until(|host| org(host, "gone").is_none().then_some(())).await;
    let beats = &gone.requests_to(Call::Heartbeat)[beats..];
    assert!(
        !beats.is_empty() && beats.iter().all(|beat| beat.json().get("allowlist").is_none()),
        "nothing is known of it"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_never_told_is_not_said_to_be_empty() {
    let (main, partner) = planes().await;
    let state = TempState::new(&main);
    let orchestrator = format!("orchestrator: {{url: \"{}\", authToken: {PARTNER_TOKEN}}}\nprojects: ", partner.url());
    let file = state.root().join("daemon-partner.yaml");
    fs::write(&file, format!("{orchestrator}[]\n")).unwrap();
    let host = state.start().await;
    partner.until_count(Call::Heartbeat, 2).await;
    let lists = || {
        partner
            .requests_to(Call::Heartbeat)
            .iter()
            .map(|beat| beat.json().get("allowlist").cloned())
            .collect::<Vec<_>>()
    };
    assert!(lists().iter().all(Option::is_none), "{:?}", lists());
    // One that was told is.
    for (projects, list) in
        [("[{id: app, repository: /srv/x}]", json!([{"id": "app", "repository": "/srv/x"}])), ("[]", json!([]))]
    {
        fs::write(&file, format!("{orchestrator}{projects}\n")).unwrap();
        partner.until(|_| lists().contains(&Some(list.clone())).then_some(())).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_serves_is_told_to_all_at_once() {
    let (main, partner) = planes().await;
    main.cadence(3_600_000, 50);
    partner.cadence(3_600_000, 50);
    let host = TempState::new(&main).with_org("partner", partner.url(), PARTNER_TOKEN).start().await;
    host.until(|host| registered(host, "").and(registered(host, "partner"))).await;
    let told = async |plane: &FakePlatform, key: &str, value: serde_json::Value| {
        let last = |plane: &FakePlatform| plane.requests_to(Call::Heartbeat).last().map(Recorded::json);
        plane.until(|plane| last(plane).filter(|beat| beat[key] == value)).await;
    };
    host.handle().set_max_sessions(3);
    told(&main, "maxSessions", 3.into()).await;
    told(&partner, "maxSessions", 3.into()).await;
    host.handle().set_projects(Vec::new());
    told(&main, "allowlist", json!([])).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_added_to_the_file_of_who_asked_for_it() {
    let (main, partner, host) = both().await;
    let main_file = fs::read_to_string(host.root().join("daemon.yaml")).unwrap();
    let add = json!({"id": "dmut_1", "op": "project.add", "params": {"id": "more", "repository": "/srv/more"}});
    partner.offer_mutation(add);
    partner.until(|partner| (partner.open_mutations() == 0).then_some(())).await;
    assert!(fs::read_to_string(partner_file(&host)).unwrap().contains("/srv/more"));
    assert_eq!(fs::read_to_string(host.root().join("daemon.yaml")).unwrap(), main_file);
    assert_eq!(org(&host, "partner").unwrap().projects_allowed, 2);
    assert_eq!(host.handle().status().projects_allowed, 1);
    main.enqueue(&WorkItem::new("not-theirs").with("repository", "more").with("projectName", "more").attempt(1));
    let nack = main.nacked("not-theirs").await.json();
    assert!(nack["reason"].as_str().unwrap().contains("allowlist"), "{nack}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_for_the_same_worker_do_not_speak_over_each_other() {
    let main = FakePlatform::start().await;
    let host = TempState::new(&main).start().await;
    let go = host.root().join("go");
    main.enqueue(&WorkItem::new("s").attempt(1).script(&until_exists(&go)));
    main.reported("s", "running").await;
    // The same identity once more, as a control plane would answer it for the same machine.
    fs::copy(host.root().join("daemon.jwt"), host.root().join("daemon-copy.jwt")).unwrap();
    fs::copy(host.root().join("daemon.yaml"), host.root().join("daemon-copy.yaml")).unwrap();
    let shown = host.until(|host| org(host, "copy").filter(|org| org.registration.last_error.is_some())).await;
    assert!(shown.registration.last_error.unwrap().contains("same worker"));
    main.until_more(Call::Heartbeat, 5).await;
    for beat in main.requests_to(Call::Heartbeat).iter().rev().take(5) {
        assert_eq!(beat.json()["sessions"], json!([{"sessionId": "s", "attempt": 1}]));
    }
    fs::write(go, "").unwrap();
    main.ended("s").await;
    host.stop().await;
}
