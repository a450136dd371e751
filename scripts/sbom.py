#!/usr/bin/env python3
"""The bill of materials of guard's binaries: CycloneDX 1.5, JSON.

    scripts/sbom.py TARGET > guard.cdx.json       what cargo metadata and Cargo.lock say
    scripts/sbom.py TARGET --image PACKAGES       the same of the image: with Debian's packages, a line
                                                  `name<TAB>version<TAB>architecture` each (dpkg-query)
    scripts/sbom.py TARGET --check guard.cdx.json whether it names exactly the crates of `cargo tree`
    scripts/sbom.py TARGET --licences             the licences of those crates, in their own words

TARGET is a Rust target (x86_64-unknown-linux-gnu). Python's standard library alone, and nothing to
install: the tools for it bring a hundred crates of their own into the release, and write times and
random numbers into the file. This one gives the same bytes for the same Cargo.lock.

In it is what the programs are made of: dependencies of the kind `normal` for the target, procedural
macros among them, as `cargo tree -e normal` lists them; not what only builds or tests them.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# What no crate says of itself, and is in the binary: rusqlite brings SQLite's own sources.
SQLITE_HEADER = "sqlite3/sqlite3.h"
# LICENSE, LICENSE-MIT, LICENCE.txt, COPYING, NOTICE, UNLICENSE
LICENCE = re.compile(r"(?i)^(un)?licen[sc]e|^copying|^notice|^copyright")


def cargo(*arguments):
    command = [os.environ.get("CARGO", "cargo"), *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def metadata(target):
    return json.loads(
        cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    )


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}


def tree(target, prefix):
    """What is built of the dependencies, as `cargo tree` has it: cargo metadata also lists optional
    ones that no feature asks for. A line: `2regex v1.13.1`, `1serde_derive v1.0.1 (proc-macro) (*)`."""
    arguments = ("-e", "normal", "--target", target, "--prefix", prefix, "-f", "{p}")
    return [line for line in cargo("tree", "--locked", *arguments).splitlines() if line.strip()]


def name_and_version(line):
    name, version = line.split()[:2]
    return name, version.removeprefix("v")


def normal_edges(target):
    """From each package to what it needs itself; a package's needs stand below its first line."""
    edges, above = {}, []
    for line in tree(target, "depth"):
        depth = re.match(r"[0-9]+", line)[0]
        package = name_and_version(line.removeprefix(depth))
        above[int(depth) :] = [package]
        edges.setdefault(package, set())
        if len(above) > 1:
            edges[above[-2]].add(package)
    return edges


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licence(package):
    """Cargo's old way to write OR was a slash."""
    expression = (package["license"] or "").replace(" / ", "/").replace("/", " OR ")
    return [{"expression": expression}] if expression else []


def component(package, checksum):
    entry = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required",
        "purl": purl(package),
    }
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if licence(package):
        entry["licenses"] = licence(package)
    if package["repository"]:
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    if package["source"] not in (None, REGISTRY):
        raise SystemExit(f"error: {purl(package)} comes from {package['source']}: say how to name it")
    return entry


def sqlite(package):
    """SQLite itself, as libsqlite3-sys carries it."""
    header = Path(package["manifest_path"]).parent / SQLITE_HEADER
    found = re.search(r'#define SQLITE_VERSION\s+"([0-9.]+)"', header.read_text())
    name = f"pkg:generic/sqlite@{found[1]}"
    return {
        "type": "library",
        "bom-ref": name,
        "name": "sqlite",
        "version": found[1],
        "scope": "required",
        "purl": name,
        "licenses": [{"license": {"id": "blessing"}}],
    }


def debian(line):
    """One of Debian's packages, by its line."""
    name, version, architecture = line.split("\t")
    ref = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={architecture}&distro=bookworm"
    return {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref}


def bill(target, packages_of_image=()):
    told = metadata(target)
    packages = {(package["name"], package["version"]): package for package in told["packages"]}
    edges, sums = normal_edges(target), checksums()
    of = {key: component(packages[key], sums[key]) for key in edges}
    root = next(iter(edges))
    main = of.pop(root) | {"type": "application", "description": packages[root]["description"]}
    main.pop("scope")
    needs = {purl(packages[key]): {purl(packages[need]) for need in edges[key]} for key in edges}
    components = list(of.values())
    for key in edges:
        if key[0] == "libsqlite3-sys":
            components.append(sqlite(packages[key]))
            needs[purl(packages[key])].add(components[-1]["bom-ref"])
            needs[components[-1]["bom-ref"]] = set()
    for line in packages_of_image:
        components.append(debian(line))
        needs[components[-1]["bom-ref"]] = set()
    body = {
        "components": sorted(components, key=lambda entry: entry["bom-ref"]),
        "dependencies": [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(needs.items())],
    }
    about = {"component": main, "properties": [{"name": "cargo:target", "value": target}]}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        at = datetime.fromtimestamp(int(epoch), timezone.utc)
        about = {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")} | about
    # The same bill has the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([about, body], sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": about,
    } | body


def licences(target):
    """What each crate asks to be passed on; the same text once, with all who have it."""
    packages = {(package["name"], package["version"]): package for package in metadata(target)["packages"]}
    texts = {}
    for key in sorted(set(normal_edges(target))):
        package = packages[key]
        if package["source"] is None:
            continue
        who = f"{package['name']} {package['version']} ({package['license']})"
        folder = Path(package["manifest_path"]).parent
        files = sorted(p for p in folder.iterdir() if p.is_file() and LICENCE.match(p.name))
        for text in [file.read_text(errors="replace").strip() for file in files] or [""]:
            texts.setdefault(text, []).append(who)
    rule = "\n" + "=" * 80 + "\n"
    none = texts.pop("", [])
    parts = ["\n".join(who) + "\n\n" + text for text, who in texts.items()]
    if none:
        parts.append("Without a text of their own, under the licence that is named:\n\n" + "\n".join(none))
    return rule.join(parts)


def check(target, path):
    told = json.loads(Path(path).read_text())
    entries = [told["metadata"]["component"], *told["components"]]
    crates = [entry for entry in entries if entry["purl"].startswith("pkg:cargo/")]
    named = {(entry["name"], entry["version"]) for entry in crates}
    built = {name_and_version(line) for line in tree(target, "none")}
    for words, difference in (("lacks", built - named), ("has too many", named - built)):
        if difference:
            raise SystemExit(f"error: {path} {words}: {sorted(difference)}")
    if len(crates) != len(named):
        raise SystemExit(f"error: {path} names a crate twice")
    for entry in crates[1:]:
        if not entry.get("hashes") or not entry.get("licenses"):
            raise SystemExit(f"error: {path}: {entry['purl']} has no hash or no licence")
    print(f"{len(named)} crates, as cargo tree has them for {target}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [target]:
            json.dump(bill(target), sys.stdout, indent=1, ensure_ascii=False)
            print()
        case [target, "--image", path]:
            json.dump(bill(target, Path(path).read_text().splitlines()), sys.stdout, indent=1, ensure_ascii=False)
            print()
        case [target, "--licences"]:
            print(licences(target))
        case [target, "--check", path]:
            check(target, path)
        case _:
            raise SystemExit(__doc__)
