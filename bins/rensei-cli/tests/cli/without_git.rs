//! A machine without the `git` executable.

use crate::world::World;
use std::path::Path;

#[test]
fn sessions_run_on_a_machine_without_git() {
    let world = World::new();
    let repository = world.repository();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let origin = runtime.block_on(rensei_testkit::serve_git(Path::new(&repository)));
    let bin = world.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for program in ["sh", "cat"] {
        let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), bin.join(program)).unwrap();
    }
    for (name, url) in [
        ("file", format!("file://{repository}")),
        ("http", format!("http://{origin}/open")),
        ("login", format!("http://me:secret@{origin}/private")),
    ] {
        world.configure(&url, "");
        let mut command = world.command(&["host", "run", "--port", "0"]);
        command.env("PATH", &bin);
        let mut host = world.launch(command);
        let address = host.line("[daemon] http listening on ");
        host.line("[daemon] state -> running");
        let port = address.rsplit(':').next().unwrap();
        let args = ["session", "run", "--repository", "alpha", "--branch", name, "--prompt", name];
        let done = world.run(&[&args[..], &["--command", "cat > out.txt", "--port", port]].concat()).exits(0);
        assert!(done.stderr.contains(&format!("{name} (pushed)")), "{}", done.stderr);
        assert_eq!(world.git(&["-C", &repository, "show", &format!("{name}:out.txt")]), name);
        assert!(!done.stderr.contains("secret"), "{}", done.stderr);
        host.signal("-TERM");
        assert_eq!(host.end(), Some(0));
    }
}
