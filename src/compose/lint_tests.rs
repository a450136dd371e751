use super::*;
use crate::filter::Library;

fn found(file: &str) -> Vec<Finding> {
    let variables = BTreeMap::from([("TAG".to_owned(), "1".to_owned())]);
    lint("compose.yml", file, &variables, &Defaults::default(), &mut Library::default())
}

/// Line, service, and a word of each finding.
#[track_caller]
fn check(file: &str, wanted: &[(usize, &str, &str)]) {
    let found = found(file);
    let fits = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(finding, (line, service, words))| {
            finding.line == *line
                && finding.service.as_deref().unwrap_or("") == *service
                && finding.what.contains(words)
        });
    assert!(fits, "{found:#?}");
}

const GUARD: &str = "  guard:
    image: guard
    network_mode: host
    cap_add: [NET_ADMIN, NET_RAW]
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - /var/lib/docker/volumes:/var/lib/docker/volumes:ro
      - ./logs:/host/logs:ro
      - data:/var/lib/guard
";

#[test]
fn a_sound_file_has_no_findings() {
    check(
        &format!(
            "services:
{GUARD}  web:
    image: web:$TAG
    volumes: ['logs:/var/log/web', './logs/b:/b']
    labels:
      guard.failregex: '^Login failed from <HOST>$$'
      guard.maxretry: 3
      guard.enable: true
      guard.logpath: |
        /var/log/web/*.log
        /b/x.log
      other: ${{UNSET}}
"
        ),
        &[],
    );
}

#[test]
fn labels_are_read_as_guard_reads_them() {
    let file = "services:
  web:
    labels:
      guard.failregex: |
        ^a <HOST>$$
        ^b <HOST
      guard.maxrety: 3
      - not a map
";
    assert!(found(file)[0].what.contains("no YAML"));
    let file = file.replace("      - not a map\n", "");
    check(&file, &[(6, "web", "guard.failregex"), (7, "web", "did you mean `guard.maxretry`?")]);
    let shown = found(&file)[0].shown.clone().unwrap();
    assert!(shown.contains("--> compose.yml:6, service web, label guard.failregex:2:"), "{shown}");
    check(
        "services:
  web:
    labels:
      - guard.failregex=^x <HOST>$$
      - \"guard.bantime=1dw\"
",
        &[(5, "web", "no unit of time")],
    );
}

#[test]
fn dollars_that_compose_swallows_are_told() {
    check(
        "services:
  web:
    labels:
      guard.failregex: '^x <HOST>$'
      guard.ignoreregex: '^x $user y$TAG'
      guard.bantime: ${BANTIME:-10m}
      unrelated: '$'
",
        &[
            (4, "web", "Compose refuses `$`: write `$$`"),
            (5, "web", "a variable in for `$user`, and it is not set"),
        ],
    );
}

#[test]
fn comments_inside_a_value_are_told() {
    check(
        "services:
  web:
    labels:
      guard.failregex: ^bad <HOST> id #4 x
      guard.maxretry: 3   # of course
      guard.findtime: '10m' # quotes keep it out
",
        &[(4, "web", "YAML takes `#4 x` for a comment")],
    );
}

#[test]
fn anchors_merges_and_extends_bring_labels() {
    check(
        "x-labels: &labels
  guard.failregex: '^x <HOST>$$'
  guard.maxretry: none
services:
  base:
    labels:
      guard.failregex: '^y <HOST>$$'
      guard.bantime: soon
  web:
    extends: base
    labels:
      <<: *labels
      guard.findtime: 10m
",
        &[(3, "web", "guard.maxretry"), (8, "base", "guard.bantime"), (8, "web", "guard.bantime")],
    );
}

#[test]
fn what_guard_cannot_see_or_do_is_told() {
    check(
        &format!(
            "services:
{}  web:
    volumes: ['/srv/logs:/var/log/web']
    logging: {{driver: none}}
    labels:
      guard.failregex: '^x <HOST>$$'
      guard.logpath: /var/log/web/a.log
      guard.jails.b.failregex: '^y <HOST>$$'
      guard.jails.b.logpath: /elsewhere/b.log
",
            GUARD.replace("host\n", "bridge\n").replace("NET_ADMIN, ", "")
        ),
        &[
            (2, "guard", "network_mode: host"),
            (2, "guard", "cap_add: [NET_ADMIN]"),
            (16, "web", "`- /srv/logs:/host/logs/web:ro`"),
            (18, "web", "`/elsewhere/b.log` is on no volume"),
        ],
    );
    check(
        "services:
  web:
    logging: {driver: none}
    deploy: {labels: {guard.maxretry: 3}}
    labels: {guard.failregex: '^x <HOST>$$'}
",
        &[(3, "web", "keeps nothing"), (4, "web", "under `deploy`")],
    );
}

#[test]
fn what_is_no_compose_file_is_told() {
    check("", &[(1, "", "empty")]);
    check("a: [1\n", &[(2, "", "no YAML")]);
    check("a: 1\n", &[(1, "", "no services")]);
}

#[test]
fn the_example_is_sound() {
    let example = include_str!("../../docker-compose.example.yml");
    assert_eq!(found(example), []);
}
