//! Images of one static program each, and nothing else: the login service, and what
//! else a test program brings along.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::{leftovers, run};

/// The image's name in every host.
pub const IMAGE: &str = "login-service";

/// The login service's image as a tar archive for `docker import`.
pub fn archive() -> PathBuf {
    archive_of(IMAGE, "tests/login-service/service.rs")
}

/// The image of a program with this source as a tar archive for `docker import`;
/// compiled when its source or the compiler has changed.
pub fn archive_of(program: &str, source: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let archive = leftovers::testbed().join(format!("{program}-{:016x}.tar", key(&source)));
    if !archive.exists() {
        build(program, &source, &archive);
    }
    archive
}

/// Says "same source, same compiler".
fn key(source: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    fs::read(source).expect("the source is in the package").hash(&mut hasher);
    run(Command::new(rustc()).arg("-vV")).hash(&mut hasher);
    hasher.finish()
}

fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())
}

/// Compiles and packs beside the target, then moves: another test program may look on.
fn build(program: &str, source: &Path, archive: &Path) {
    let folder = archive.with_extension(std::process::id().to_string());
    let root = folder.join("root");
    fs::create_dir_all(&root).expect("the target folder can be written");
    let options = "--edition 2024 -O -C target-feature=+crt-static -C strip=symbols -C panic=abort";
    run(Command::new(rustc())
        .args(options.split(' '))
        .arg("-o")
        .arg(root.join(program))
        .arg(source));
    let packed = folder.join("image.tar");
    run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&packed).arg("."));
    fs::rename(&packed, archive).expect("the same file system");
    let _ = fs::remove_dir_all(&folder);
}
