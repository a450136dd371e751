use super::*;

fn spec(regexes: &[&str]) -> FilterSpec {
    let failregex = regexes.iter().map(|regex| (*regex).to_owned()).collect();
    FilterSpec { failregex, ..FilterSpec::default() }
}

#[test]
fn look() {
    for regex in [
        r"Login failed for user '.*' \[IP: <HOST>\]",
        r"Login failed for user '.*' \[IP: <HOST>\]$",
        r"Login failed for user '.*?' \[IP: <HOST>\]",
        r"^Login failed for user '.*?' \[IP: <HOST>\]",
        r"^Login failed for user '.*?' \[IP: <HOST>\].*$",
        r"^Login failed for user '[^']*' \[IP: <HOST>\]$",
        r"^Login failed for user '[^']*' \[IP: <HOST>\]",
        r"^<HOST> .* bad",
        r"<HOST> .* bad",
        r"Failed password for .* from <HOST> port \d+",
        r"^Failed password for <F-USER>\S+</F-USER> from <HOST>",
        r"^Login failed for user '[^']*?' \[IP: <HOST>\].*$",
        r"^.*<HOST>$",
        r"^Failed password for <F-USER>\S+</F-USER> from <HOST>$",
        r"bad (?:\S+ )*from <HOST>",
    ] {
        println!("{regex}\n   {:#?}", lint(&spec(&[regex])));
    }
}

#[test]
fn own() {
    use crate::filters::Catalog;
    let start = std::time::Instant::now();
    let path = std::env::var("LINT_PATH").unwrap_or_default();
    let catalog = if path.is_empty() { Catalog::new("") } else { Catalog::without_own(vec![path.into()]) };
    for listed in catalog.list() {
        let Ok(loaded) = catalog.load(&listed.name.parse().unwrap()) else { continue };
        let before = start.elapsed();
        let found = lint(&loaded.spec);
        let middle = start.elapsed();
        let said = notes(&loaded.spec);
        let mut honest = 0;
        for i in 0..loaded.spec.failregex.len() {
            if let Some(s) = Subject::new(&loaded.spec, i) {
                let r = s.addresses().real;
                honest += pieces::VARIANTS.iter().any(|v| s.pieces(*v).is_some_and(|p| s.who(&forge::render(&p, r)).as_deref() == Some(r))) as u32;
            }
        }
        println!("== {} {:?} {:?} of {}, honest {honest}", listed.name, middle - before, start.elapsed()-middle, loaded.spec.failregex.len());
        for i in found { println!("   {:?} {:?}\n      {}\n      {}\n      {:?}", i.place, i.span, i.what, i.line, i.anchored); }
        for n in said { println!("   NOTE {:?} {} {:?}", n.place, n.what, n.line); }
    }
}
