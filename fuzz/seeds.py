#!/usr/bin/env python3
"""Seeds for the fuzz targets, from guard's own filters and their sample lines.

    fuzz/seeds.py CORPUS        writes CORPUS/<target>/seed-…
"""

import json
import pickle
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# As in fuzz_targets/lines.rs, in its order.
LINES = ["sshd", "postfix", "nginx-http-auth", "wordpress", "owncloud", "recidive"]
FURTHER = ["sshd", "dovecot", "domino-smtp", "apache-auth", "asterisk"]

MOST = 4000


def write(folder, name, *parts):
    folder.mkdir(parents=True, exist_ok=True)
    data = "\0".join(parts).encode()[:MOST]
    (folder / f"seed-{name}").write_bytes(data)


def samples(name):
    """The sample lines of a filter, without what is said of them."""
    path = ROOT / "tests/filters" / f"{name}.log"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def regexes(conf, option):
    """The values of an option of a filter file, a line each, as they are written."""
    found = re.search(rf"(?m)^{option}\s*=(.*(?:\n[ \t]+.*)*)", conf)
    lines = found.group(1).splitlines() if found else []
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def labels(folder):
    """The labels that the README and the example have, and one with each filter."""
    text = "\n".join((ROOT / name).read_text() for name in ("README.md", "docker-compose.example.yml"))
    found = re.findall(r"\b(guard\.[\w.-]+)[:=] *['\"]?(.*?)['\"]?$", text, re.M)
    pairs = [f"{key}={value}" for key, value in found]
    for index in range(0, len(pairs), 4):
        write(folder, f"readme-{index}", *pairs[index : index + 4])
    options = re.findall(r"^\| `([a-z.]+)", text, re.M)
    values = ["3", "10m", "true", "80/tcp, 443", "10.0.0.0/8", "x <HOST>$"]
    for option in sorted(set(options) | {key.split(".")[-1] for key, _ in found}):
        write(folder, option, *(f"guard.jails.j{n}.{option}={value}" for n, value in enumerate(values)))


def filters(corpus):
    """What each filter gives: itself as a file, its regexes, its dates, a label, a reference."""
    common = (ROOT / "filters/common.conf").read_text()
    for path in sorted((ROOT / "filters").glob("*.conf")):
        name, conf = path.stem, path.read_text()
        lines = samples(name)
        write(corpus / "filter_files", name, "mode=aggressive", conf[:2500], common[:1000], "[Init]\nx = %(y)s\n")
        write(corpus / "labels", f"filter-{name}", f"guard.filter={name}", "guard.maxretry=3")
        write(corpus / "reference", name, f"{name}[mode=aggressive, logtype=\"file\", x='a, b']")
        for index, regex in enumerate(regexes(conf, "failregex") + regexes(conf, "prefregex")):
            write(corpus / "regex", f"{name}-{index}", regex, "\n".join(lines[:4]))
        dates = regexes(conf, "datepattern")
        write(corpus / "dates", name, "\n".join(dates), "\n".join(lines[:6]))
        write(corpus / "dates", f"{name}-default", "", "\n".join(lines[:6]))


def tags(folder):
    """Regexes that have what guard's own filters do without."""
    for index, regex in enumerate([
        r"^(?!x)a (?P<ip4>\S+)(?(1)b|c)$", r"(?<=from )<ADDR>(?= ok)", r"(?i:a)(?P<q>['\"])<IP6>(?P=q)",
        r"<F-MLFID>\d+</F-MLFID> <F-NOFAIL>in</F-NOFAIL> <SUBNET>", r"<DNS>|<F-ID/>", r"[\w\-[\]]+\Z<CIDR><ADDR>",
        r"^(?:[^\[]+ )*\[<HOST>\](?! ok)$", r"(?x) a # b\n <HOST> \N{DIGIT ONE}? \u00e9{2,3}?",
    ]):
        write(folder, f"tag-{index}", regex, "1 in 192.0.2.1 ok\na 2001:db8::1\n\x1b[1mfrom 192.0.2.7 ok")


def lines(folder):
    for index, name in enumerate(LINES + FURTHER):
        letter = chr(ord("a") + index)
        for start in range(0, max(len(samples(name)), 1), 12):
            write(folder, f"{index}-{start}", letter + "\n".join(samples(name)[start : start + 12]) + "\n")


def sockets(corpus):
    """What clients ask: words as Python pickles them, and guardctl's requests."""
    commands = ["ping", "status web", "set web banip 192.0.2.7 2001:db8::/64", "get web banip --with-time",
                "set web unbanip --report-absent 192.0.2.7", "stats", "unban --all", "get web bantime", "echo 1"]
    for index, command in enumerate(commands):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            folder = corpus / "pickle"
            folder.mkdir(parents=True, exist_ok=True)
            words = [int(word) if word.isdigit() else word for word in command.split()]
            (folder / f"seed-{index}-{protocol}").write_bytes(pickle.dumps(words, protocol))
    requests = [
        {"request": "ping"}, {"request": "status", "jail": "web"}, {"request": "banned", "network": "192.0.2.7"},
        {"request": "ban", "networks": ["192.0.2.7", "2001:db8::/64"], "jail": "web", "time": 3600, "force": True},
        {"request": "unban", "which": "all"}, {"request": "unban", "which": {"networks": ["192.0.2.7"]}},
        {"request": "history", "limit": 10, "since": "2026-01-01T00:00:00Z"}, {"request": "doctor"}, {"request": "suggest"},
        {"request": "try", "service": "web", "options": [["maxretry", "3"]]}, {"request": "fail2ban", "words": ["ping"]},
        {"reply": "refused", "kind": "usage", "message": "x"}, {"reply": "flushed", "lifted": 3},
        {"reply": "doctor", "worst": "error", "findings": [
            {"level": "error", "about": "jail web", "what": "x", "why": "y", "cure": ["z"]}]},
        {"reply": "suggested", "looked_at": 1, "notes": [], "suggestions": [
            {"container": "c", "service": "s", "image": "i", "filter": "f", "sure": "proven", "notes": ["n"],
             "labels": [["guard.filter", "f"]]}]},
    ]
    for index, request in enumerate(requests):
        write(corpus / "requests", str(index), json.dumps({"version": 1, **request}))


def main():
    corpus = Path(sys.argv[1])
    sockets(corpus)
    labels(corpus / "labels")
    filters(corpus)
    tags(corpus / "regex")
    lines(corpus / "lines")


main()
