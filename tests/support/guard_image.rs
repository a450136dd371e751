//! guard's own image, made of the programs that were just built and of the tools and
//! libraries of this machine: what the Dockerfile makes, without a registry and at once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::engine::find;
use super::{Host, leftovers, run, try_run};

/// What `iptables` is called, of each kind and family.
const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];
const ACTIONS: [&str; 3] = ["", "-save", "-restore"];

/// Makes the image `guard` on a host.
pub fn import(host: &Host) {
    let entry = r#"ENTRYPOINT ["/usr/local/bin/guard"]"#;
    let path = "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin";
    let mut import = host.docker_command();
    run(import.args(["import", "--change", entry, "--change", path]).arg(archive()).arg("guard"));
}

/// The archive, which is made once by each test program.
fn archive() -> PathBuf {
    static MADE: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.get_or_insert_with(make).clone()
}

fn make() -> PathBuf {
    // Named as a host is, so that it is swept away with those of this program.
    let folder = leftovers::testbed().join(leftovers::host_name(9999));
    let root = folder.join("root");
    let mut libraries = BTreeSet::new();
    for (program, at) in [
        (PathBuf::from(env!("CARGO_BIN_EXE_guard")), "usr/local/bin/guard"),
        (PathBuf::from(env!("CARGO_BIN_EXE_guardctl")), "usr/local/bin/guardctl"),
        (tool("xtables-nft-multi"), "usr/sbin/xtables-nft-multi"),
        (tool("xtables-legacy-multi"), "usr/sbin/xtables-legacy-multi"),
        (tool("nft"), "usr/sbin/nft"),
    ] {
        libraries.extend(libraries_of(&program));
        put(&program, &root.join(at));
        // guard's own are large with what a debugger wants; smaller is only faster.
        let _ = try_run(Command::new("strip").arg("--strip-debug").arg(root.join(at)));
    }
    let extensions = extensions();
    for extension in fs::read_dir(&extensions).expect("iptables has extensions").flatten() {
        libraries.insert(extension.path());
    }
    for library in &libraries {
        let at = library.strip_prefix("/").expect("ldd prints whole paths");
        put(library, &root.join(at));
    }
    for kind in ["nft", "legacy"] {
        for (family, action) in FAMILIES.iter().flat_map(|f| ACTIONS.map(|action| (f, action))) {
            let name = root.join(format!("usr/sbin/{family}-{kind}{action}"));
            symlink(format!("xtables-{kind}-multi"), name).expect("it is new");
        }
    }
    for empty in ["tmp", "run", "var/lib/guard", "etc"] {
        fs::create_dir_all(root.join(empty)).expect("the target folder can be written");
    }
    let archive = folder.join("guard.tar");
    run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."));
    archive
}

fn tool(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("no {name} in PATH"))
}

fn put(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("it is below the root")).expect("it can be written");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The libraries that a program is linked with, and what loads them.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let told = run(Command::new("ldd").arg(program));
    let paths =
        told.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(PathBuf::from).collect()
}

/// The folder of iptables' extensions.
fn extensions() -> PathBuf {
    let told = run(Command::new("ldd").arg(tool("xtables-nft-multi")));
    let beside =
        told.lines().find(|line| line.contains("libxtables")).expect("it is linked with it");
    let library = beside.split_whitespace().find(|word| word.starts_with('/')).expect("a path");
    // Where it is, not where a link to its folder is: iptables looks there.
    Path::new(library).with_file_name("xtables").canonicalize().expect("iptables has extensions")
}
