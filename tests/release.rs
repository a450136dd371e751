//! What a release is named, and what it refuses: one version, everywhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn ours(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// scripts/version.sh in a folder of its own, with this changelog and example; what it
/// prints, or complains of.
fn version(changelog: &str, example: &str, tag: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    for script in ["scripts/version.sh", "scripts/lib.sh"] {
        fs::write(folder.path().join(script), ours(script)).unwrap();
    }
    fs::write(folder.path().join("Cargo.toml"), ours("Cargo.toml")).unwrap();
    fs::write(folder.path().join("CHANGELOG.md"), changelog).unwrap();
    fs::write(folder.path().join("docker-compose.example.yml"), example).unwrap();
    let script = folder.path().join("scripts/version.sh");
    let output = Command::new("bash").arg(script).args(tag).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn cargo_the_example_and_the_changelog_agree() {
    let (changelog, example) = (ours("CHANGELOG.md"), ours("docker-compose.example.yml"));
    assert_eq!(version(&changelog, &example, &[]), Ok(VERSION.to_owned()));
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## ["));
    let newest = headings.find(|heading| !heading.starts_with("Unreleased]"));
    assert!(
        newest.is_none_or(|heading| heading.starts_with(&format!("{VERSION}]"))),
        "CHANGELOG.md tells of another version than Cargo.toml: {newest:?}"
    );
}

#[test]
fn a_release_is_refused_where_they_do_not() {
    let example = ours("docker-compose.example.yml");
    let released =
        format!("# Changelog\n\n## [Unreleased]\n\n## [{VERSION}] - 2026-01-31\n\n- All.\n");
    let tag = format!("v{VERSION}");
    assert_eq!(version(&released, &example, &[&tag]), Ok(VERSION.to_owned()));
    let check = |changelog: &str, example: &str, tag: &str, why: &str| {
        let said = version(changelog, example, &[tag]).unwrap_err();
        assert!(said.contains(why), "{said}");
    };
    check(&released, &example, "v99.0.0", "the tag is v99.0.0");
    check(&released, &example, VERSION, "they must agree");
    check(&released.replace(VERSION, "98.0.0"), &example, &tag, "CHANGELOG.md is '98.0.0'");
    check("## [Unreleased]\n\n- All.\n", &example, &tag, "put a heading");
    let late = released.replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n");
    check(&late, &example, &tag, "under [Unreleased]");
    let other = example.replace(&format!("GUARD_VERSION:-{VERSION}"), "GUARD_VERSION:-98.0.0");
    check(&released, &other, &tag, "'98.0.0': make them the same");
}

/// The bill of materials names what is built, each once, with hash and licence; and the
/// same is the same.
#[test]
fn the_bill_of_materials_is_that_of_the_tree() {
    let sbom = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sbom.py");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.cdx.json");
    let run = |arguments: &[&str]| {
        let output = Command::new("python3").arg(&sbom).args(arguments).output();
        output.unwrap_or_else(|error| panic!("python3: {error}"))
    };
    let target = "x86_64-unknown-linux-gnu";
    let bill = run(&[target]);
    assert!(bill.status.success(), "{}", String::from_utf8_lossy(&bill.stderr));
    assert_eq!(run(&[target]).stdout, bill.stdout);
    let check = |bill: &[u8]| {
        fs::write(&file, bill).unwrap();
        run(&[target, "--check", file.to_str().unwrap()])
    };
    assert!(check(&bill.stdout).status.success());
    let text = String::from_utf8(bill.stdout).unwrap();
    assert!(text.contains("pkg:generic/sqlite@"), "SQLite is in the binary");
    let other = check(text.replace("\"name\": \"memchr\"", "\"name\": \"memchrx\"").as_bytes());
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains("memchr"), "{said}");
}

/// Of the image's bill Debian's packages are a part.
#[test]
fn the_image_is_billed_with_debians_packages() {
    let sbom = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sbom.py");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("packages");
    fs::write(&file, "iptables\t1.8.9-2\tamd64\nlogin\t1:4.13+dfsg1-1\tamd64\n").unwrap();
    let mut python = Command::new("python3");
    python.arg(&sbom).args(["x86_64-unknown-linux-gnu", "--image"]).arg(&file);
    let output = python.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for package in [
        "pkg:deb/debian/iptables@1.8.9-2?arch=amd64&distro=bookworm",
        "pkg:deb/debian/login@1%3A4.13%2Bdfsg1-1?arch=amd64&distro=bookworm",
        "pkg:generic/sqlite@",
    ] {
        assert!(text.contains(&format!("\"purl\": \"{package}")), "{package}");
    }
}

/// Whoever unpacks a release finds what its pages link to.
#[test]
fn no_link_of_a_release_leads_out_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list =
        Command::new("bash").arg(root.join("scripts/release.sh")).arg("--documents").output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    let shipped: Vec<&str> = list.lines().collect();
    assert!(shipped.contains(&"README.md") && shipped.contains(&"docs/notices.md"), "{shipped:?}");
    for page in shipped.iter().filter(|name| name.ends_with(".md")) {
        let text = ours(page);
        let folder = Path::new(page).parent().unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains(':')) {
            let target = match link.strip_prefix("../") {
                Some(above) => folder.parent().unwrap().join(above),
                None => folder.join(link),
            };
            let is_there = shipped.iter().any(|name| Path::new(name) == target);
            assert!(is_there, "{page} links to {link}, which is not in the release");
        }
    }
}
