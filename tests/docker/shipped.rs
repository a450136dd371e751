//! What is shipped: the Dockerfile and the example stack.

use std::path::Path;
use std::process::Command;

use crate::support::*;

/// The image is built, the example is started from it without privileges, attacked
/// from outside to the ban, and taken down without a trace: by the same scripts that
/// people use, on an engine and in a network of their own. On the last engine of the
/// list, which is the newest.
#[test]
fn the_shipped_image_guards_the_shipped_example() {
    let Some(engine) = engines("the_shipped_image_guards_the_shipped_example").pop() else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-test.sh");
    run(Command::new(script).arg(engine.folder()).env("PATH", engine.path()));
}
