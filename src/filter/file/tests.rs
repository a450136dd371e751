use std::collections::BTreeMap;

use super::*;

/// Files in memory, by folder and name.
struct Memory(BTreeMap<(&'static str, &'static str), &'static str>);

const FOLDERS: [&str; 2] = ["/own", "/stock"];

impl FilterFiles for Memory {
    fn folders(&self) -> Vec<String> {
        FOLDERS.map(str::to_owned).to_vec()
    }

    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        if name == "unreadable.conf" {
            return Err("permission denied".to_owned());
        }
        Ok(self.0.get(&(folder, name)).map(|text| (*text).to_owned()))
    }

    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        let inside = |(at, file): &&(&str, &str)| {
            (*at == folder).then(|| file.strip_prefix(&format!("{name}/")).map(str::to_owned))?
        };
        Ok(self.0.keys().filter_map(|key| inside(&key)).collect())
    }
}

fn read(
    files: &[(&'static str, &'static str, &'static str)],
    reference: &str,
) -> Result<LoadedFilter, FilterFileError> {
    let files = files.iter().map(|(folder, name, text)| ((*folder, *name), *text)).collect();
    load(&reference.parse().unwrap(), &Memory(files))
}

const COMMON: &str = "[DEFAULT]
_daemon = \\S*
__prefix = (?:<_daemon>: )?
logtype = file
[lt_file]
pre = f%(__prefix)s
[lt_journal]
pre = j%(__prefix)s
";

const SSHD: &str = "[INCLUDES]
before = common.conf
after = common.local
[DEFAULT]
_daemon = sshd
[Definition]
prefregex = ^<lt_<logtype>/pre><F-CONTENT>.+</F-CONTENT>$
failregex = ^a <HOST>
            <mdre-<mode>>

            ^z <HOST>
mdre-normal =
mdre-extra = ^x <HOST>
             ^y <HOST>
mode = normal
maxlines = 1
datepattern = ^%%Y
journalmatch = _COMM=sshd
";

#[test]
fn a_filter_and_what_it_includes() {
    let files = [("/stock", "common.conf", COMMON), ("/stock", "sshd.conf", SSHD)];
    let loaded = read(&files, "sshd").unwrap();
    assert_eq!(loaded.spec.failregex, ["^a <HOST>", "^z <HOST>"]);
    assert_eq!(loaded.spec.prefregex.as_deref(), Some("^f(?:sshd: )?<F-CONTENT>.+</F-CONTENT>$"));
    assert_eq!(loaded.spec.datepattern.as_deref(), Some("^%Y"));
    assert_eq!(loaded.spec.daemon.as_deref(), Some("sshd"));
    assert_eq!(loaded.journalmatch.as_deref(), Some("_COMM=sshd"));
    assert_eq!(loaded.files, ["/stock/common.conf", "/stock/sshd.conf"]);
    let extra = read(&files, "sshd[mode=extra, logtype=journal]").unwrap();
    assert_eq!(extra.spec.failregex, ["^a <HOST>", "^x <HOST>", "^y <HOST>", "^z <HOST>"]);
    let places: Vec<_> = extra.fail_places.iter().map(ToString::to_string).collect();
    let expected = ["8", "13", "14", "11"].map(|line| format!("/stock/sshd.conf:{line}"));
    assert_eq!(places, expected);
    assert!(extra.spec.prefregex.unwrap().starts_with("^j(?:sshd: )?"));
}

#[test]
fn later_files_go_over_earlier_ones() {
    let files = [
        ("/stock", "x.conf", "[Definition]\nfailregex = a <HOST>\nignoreregex = i\n"),
        ("/stock", "x.d/1.conf", "[Definition]\nfailregex = %(known/failregex)s\n b <HOST>\n"),
        ("/stock", "x.local", "[Definition]\nfailregex = %(known/failregex)s\n c <HOST>\n"),
        ("/stock", "x.d/1.local", "[Definition]\nignoreregex =\n"),
        ("/stock", "y.conf", "[Definition]\nfailregex = stock <HOST>\n"),
        ("/own", "y.local", "[Definition]\nfailregex = own <HOST>\n"),
        ("/own", "z.conf", "[INCLUDES]\nbefore = y.conf\n[Definition]\n"),
    ];
    assert_eq!(read(&files, "y").unwrap().spec.failregex, ["own <HOST>"]);
    assert_eq!(read(&files, "y").unwrap().files, ["/own/y.local"]);
    let z = read(&files, "z").unwrap();
    assert_eq!(z.files, ["/own/y.local", "/own/z.conf"]);
    let x = read(&files, "x").unwrap();
    assert!(x.spec.ignoreregex.is_empty());
    assert_eq!(x.spec.failregex, ["a <HOST>", "b <HOST>", "c <HOST>"]);
    assert_eq!(x.fail_places[1].to_string(), "/stock/x.d/1.conf:3");
}

#[test]
fn what_is_given_goes_before_all() {
    let files = [(
        "/own",
        "x.conf",
        "[Definition]\nfailregex = <a>%(a)s <HOST>\na = 1\n[Init]\na = 2\nb = <known/a>\n",
    )];
    assert_eq!(read(&files, "x").unwrap().spec.failregex, ["21 <HOST>"]);
    assert_eq!(read(&files, "x[a=3]").unwrap().spec.failregex, ["33 <HOST>"]);
    let given = read(&files, "x[failregex=\"5% <HOST>\", usedns=raw, maxlines=3]").unwrap();
    assert_eq!(given.spec.failregex, ["5% <HOST>"]);
    assert_eq!((given.spec.use_dns, given.spec.max_lines), (UseDns::Raw, 3));
    assert_eq!(given.fail_places[0].to_string(), "the filter's options");
}

#[test]
fn mistakes_name_file_and_line() {
    let files = [
        ("/own", "two.conf", "[Definition]\nfailregex = a\nfailregex = b\n"),
        ("/own", "percent.conf", "[Definition]\nfailregex = a\n  %(__prefix_line)s <HOST>\n"),
        ("/own", "loop.conf", "[INCLUDES]\nbefore = loop.conf\n[Definition]\nfailregex = <HOST>\n"),
        ("/own", "self.conf", "[Definition]\nfailregex = <x>\nx = <y>\ny = <x>\n"),
        ("/own", "lines.conf", "[Definition]\nfailregex = <HOST>\nmaxlines = 1000\n"),
        ("/own", "dns.conf", "[Definition]\nfailregex = <HOST>\nusedns = perhaps\n"),
    ];
    let refuse = |name: &str, expected: &str| {
        let error = read(&files, name).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    refuse("two", "/own/two.conf:3: the option `failregex` comes a second time in [Definition]");
    refuse("percent", "/own/percent.conf:3: `%(__prefix_line)s` names no option");
    refuse("self", "/own/self.conf:4: `<x>` in `failregex` leads back to itself");
    refuse("lines", "/own/lines.conf:3: `maxlines = 1000`");
    refuse("dns", "/own/dns.conf:3: `usedns`: `perhaps` is none of");
    refuse("none", "there is no filter `none` in /own, /stock");
    refuse("unreadable", "/own/unreadable.conf: permission denied");
    assert_eq!(read(&files, "loop").unwrap().spec.failregex, ["<HOST>"]);
}
