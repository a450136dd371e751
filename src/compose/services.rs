//! Services of a compose file, as far as guard looks at them.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::ScalarStyle;

use super::interpolate::{Interpolated, interpolate};
use super::yaml::{Node, What};

/// A service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) labels: Vec<Label>,
    /// Labels under `deploy`, which its containers don't get.
    pub(super) deploy_labels: Vec<(String, usize)>,
    pub(super) network_mode: String,
    pub(super) log_driver: Option<(String, usize)>,
    pub(super) tty: bool,
    pub(super) publishes: bool,
    pub(super) volumes: Vec<Volume>,
    pub(super) capabilities: Vec<String>,
    pub(super) privileged: bool,
    /// Image, or what it is built from.
    pub(super) image: String,
    pub(super) container_name: Option<String>,
}

/// A label.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) key: String,
    /// The line of the key.
    pub(super) line: usize,
    /// The line in which the value begins.
    pub(super) value_line: usize,
    pub(super) value: Interpolated,
    /// What YAML took for a comment behind a value without quotes.
    pub(super) comment: Option<String>,
}

/// A mount: `source:target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    /// A path of the host (it begins with `/`, `.` or `~`), or a volume's name.
    pub(super) source: String,
    pub(super) target: String,
}

impl Volume {
    pub(super) fn is_path(&self) -> bool {
        self.source.starts_with(['/', '.', '~'])
    }
}

/// The services of a file; `file` is its text.
pub(super) fn services(
    root: &Node,
    file: &str,
    variables: &BTreeMap<String, String>,
) -> Vec<Service> {
    let Some(services) = root.get("services") else { return Vec::new() };
    let reader = Reader { file, variables };
    let all = services.entries();
    let by_name =
        |name: &str| all.iter().find(|(known, ..)| *known == name).map(|(_, node, _)| *node);
    all.iter()
        .map(|(name, node, line)| {
            let mut service = reader.service(name, node, *line);
            reader.extend(&mut service, node, &by_name, 0);
            service
        })
        .collect()
}

struct Reader<'a> {
    file: &'a str,
    variables: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn service(&self, name: &str, node: &Node, line: usize) -> Service {
        let text = |key: &str| node.get(key).and_then(|value| self.text(value));
        let logging = node.get("logging").and_then(|logging| logging.get("driver"));
        Service {
            name: name.to_owned(),
            line,
            labels: node.get("labels").map(|labels| self.labels(labels)).unwrap_or_default(),
            deploy_labels: node
                .get("deploy")
                .and_then(|deploy| deploy.get("labels"))
                .map(|labels| self.labels(labels))
                .unwrap_or_default()
                .into_iter()
                .map(|label| (label.key, label.line))
                .collect(),
            network_mode: text("network_mode").unwrap_or_else(|| "default".to_owned()),
            log_driver: logging.and_then(|node| Some((self.text(node)?, node.line))),
            tty: text("tty").as_deref() == Some("true"),
            publishes: node.get("ports").is_some_and(|ports| !ports.items().is_empty()),
            volumes: node.get("volumes").map(|node| self.volumes(node)).unwrap_or_default(),
            capabilities: node
                .get("cap_add")
                .into_iter()
                .flat_map(|node| node.items())
                .filter_map(|item| self.text(item))
                .map(|name| name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned())
                .collect(),
            privileged: text("privileged").as_deref() == Some("true"),
            image: text("image").unwrap_or_default(),
            container_name: text("container_name"),
        }
    }

    /// What a service takes from another of the file by `extends`.
    fn extend<'n>(
        &self,
        service: &mut Service,
        node: &'n Node,
        by_name: &impl Fn(&str) -> Option<&'n Rc<Node>>,
        depth: usize,
    ) {
        const MAX_DEPTH: usize = 16;
        let Some(extends) = node.get("extends") else { return };
        let name = extends.text().or_else(|| extends.get("service").and_then(|name| name.text()));
        let elsewhere = extends.get("file").is_some();
        let Some(base) = name.filter(|_| !elsewhere && depth < MAX_DEPTH).and_then(by_name) else {
            return;
        };
        let inherited = self.service(&service.name, base, base.line);
        for label in inherited.labels {
            if !service.labels.iter().any(|known| known.key == label.key) {
                service.labels.push(label);
            }
        }
        service.volumes.extend(inherited.volumes);
        service.capabilities.extend(inherited.capabilities);
        service.log_driver = service.log_driver.take().or(inherited.log_driver);
        service.publishes |= inherited.publishes;
        if service.network_mode == "default" {
            service.network_mode = inherited.network_mode;
        }
        if service.image.is_empty() {
            service.image = inherited.image;
        }
        self.extend(service, base, by_name, depth + 1);
    }

    fn text(&self, node: &Node) -> Option<String> {
        Some(interpolate(node.text()?, self.variables).text)
    }

    /// Labels as a map, or as a list of `key=value`.
    fn labels(&self, node: &Node) -> Vec<Label> {
        let of_map = node.entries().into_iter().filter_map(|(key, value, line)| {
            let text = match value.text()? {
                "~" | "null" if plain(value) => "",
                text => text,
            };
            Some(self.label(key, text, value, line))
        });
        let of_list = node.items().iter().filter_map(|item| {
            let (key, value) = item.text()?.split_once('=').unwrap_or((item.text()?, ""));
            Some(self.label(key, value, item, item.line))
        });
        of_map.chain(of_list).collect()
    }

    fn label(&self, key: &str, text: &str, value: &Node, line: usize) -> Label {
        let block = matches!(
            value.what,
            What::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, .. }
        );
        Label {
            key: key.trim().to_owned(),
            line,
            value_line: value.line + usize::from(block && value.line == line),
            value: interpolate(text, self.variables),
            comment: self.comment(value),
        }
    }

    /// What stands behind a value without quotes as a comment.
    fn comment(&self, value: &Node) -> Option<String> {
        let What::Scalar { style: ScalarStyle::Plain, end, .. } = value.what else { return None };
        let (at, _) = self.file.char_indices().nth(end)?;
        let rest = self.file[at..].lines().next().unwrap_or_default().trim();
        rest.starts_with('#').then(|| rest.chars().take(40).collect())
    }

    fn volumes(&self, node: &Node) -> Vec<Volume> {
        let volume = |item: &Rc<Node>| match item.text() {
            Some(_) => {
                let text = self.text(item)?;
                let (source, rest) = text.split_once(':')?;
                let target = rest.split(':').next().unwrap_or(rest);
                Some(Volume { source: source.to_owned(), target: target.to_owned() })
            }
            None => {
                let part = |name: &str| item.get(name).and_then(|node| self.text(node));
                Some(Volume { source: part("source")?, target: part("target")? })
            }
        };
        node.items().iter().filter_map(volume).collect()
    }
}

fn plain(node: &Node) -> bool {
    matches!(node.what, What::Scalar { style: ScalarStyle::Plain, .. })
}
