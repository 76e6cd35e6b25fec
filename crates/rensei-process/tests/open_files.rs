//! Limits of open files. Alone in its process, because they are the process's.
#![cfg(target_os = "linux")]

use rensei_process::{End, SpawnSpec, output_log, raise_open_files, spawn_group};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_child_gets_the_limit_that_was_there_before_it_was_raised() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum }).unwrap();
    raise_open_files().unwrap();
    raise_open_files().unwrap();
    assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
    let dir = tempfile::tempdir().unwrap();
    // It may look before its parent has got round to it.
    let script = "while [ \"$(ulimit -Sn)\" != 200 ]; do :; done; ulimit -Hn; sh -c 'ulimit -Sn'";
    let output = dir.path().join("output");
    let mut child = spawn_group(SpawnSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::new(),
        cwd: dir.path().to_owned(),
        output: output_log::create(&output).unwrap(),
    })
    .unwrap();
    assert_eq!(child.wait().await.unwrap(), End::Exited(0));
    let hard = maximum.map_or("unlimited".to_owned(), |maximum| maximum.to_string());
    assert_eq!(std::fs::read_to_string(&output).unwrap(), format!("{hard}\n200\n"));
}
