//! A YAML document as a tree that knows its lines.
//!
//! Aliases share the node that they name, so that a short file can't become a
//! huge tree; whoever walks one bounds how far.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A node, and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    /// The line, counted from 1.
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Scalar {
        text: String,
        style: ScalarStyle,
        /// Characters of the file.
        end: usize,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

/// Why a file is no YAML: the line, and the parser's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Deepest nesting of a file that is read.
const MAX_DEPTH: usize = 64;

/// Reads the first document of a file; `None`: it is empty.
pub(super) fn read(text: &str) -> Result<Option<Rc<Node>>, Broken> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Broken {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        tree.take(event, span)?;
    }
    Ok(tree.root)
}

/// A list or map that is not at its end yet.
struct Open {
    anchor: usize,
    line: usize,
    /// Of a map, keys and values in turn.
    items: Vec<Rc<Node>>,
    is_map: bool,
}

#[derive(Default)]
struct Tree {
    root: Option<Rc<Node>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let line = span.start.line();
        let open = |anchor, is_map| Open { anchor, line, items: Vec::new(), is_map };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let text = text.into_owned();
                let what = What::Scalar { text, style, end: span.end.index() };
                self.add(Node { line, what }, anchor);
            }
            Event::SequenceStart(anchor, _) => self.open.push(open(anchor, false)),
            Event::MappingStart(anchor, _) => self.open.push(open(anchor, true)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, line, items, is_map }) = self.open.pop() else {
                    return Ok(());
                };
                let what = if is_map {
                    let mut items = items.into_iter();
                    let pair = || Some((items.next()?, items.next()?));
                    What::Map(std::iter::from_fn(pair).collect())
                } else {
                    What::List(items)
                };
                self.add(Node { line, what }, anchor);
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Broken { line, what: "an alias of something unknown".to_owned() });
                };
                self.put(node);
            }
            _ => {}
        }
        if self.open.len() > MAX_DEPTH {
            return Err(Broken { line, what: "too deeply nested".to_owned() });
        }
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node);
    }

    fn put(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => {
                self.root.get_or_insert(node);
            }
        }
    }
}

impl Node {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.what {
            What::Scalar { text, .. } => Some(text),
            What::List(_) | What::Map(_) => None,
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Rc<Node>] {
        match &self.what {
            What::List(items) => items,
            What::Scalar { .. } | What::Map(_) => &[],
        }
    }

    /// The entries of a map, those that it merges (`<<`) last and only where it has
    /// none of that name; none of anything else.
    pub(super) fn entries(&self) -> Vec<(&str, &Rc<Node>, usize)> {
        /// Maps that are looked into, and entries of one.
        const BOUND: usize = 10_000;
        let mut all: Vec<(&str, &Rc<Node>, usize)> = Vec::new();
        let mut waiting: VecDeque<&Node> = [self].into();
        for _ in 0..BOUND {
            let Some(node) = waiting.pop_front() else { break };
            let What::Map(pairs) = &node.what else { continue };
            for (key, value) in pairs {
                match key.text() {
                    Some("<<") => match &value.what {
                        What::List(items) => waiting.extend(items.iter().map(|item| &**item)),
                        What::Map(_) | What::Scalar { .. } => waiting.push_back(value),
                    },
                    Some(name)
                        if all.len() < BOUND && !all.iter().any(|(known, ..)| *known == name) =>
                    {
                        all.push((name, value, key.line));
                    }
                    Some(_) | None => {}
                }
            }
            waiting.truncate(BOUND);
        }
        all
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&Rc<Node>> {
        self.entries().into_iter().find_map(|(key, value, _)| (key == name).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_its_lines_and_merges() {
        let text = "x-base: &base\n  a: 1\n  b: 2\nc:\n  <<: *base\n  b: 'three'\n  d: [x, y]\n";
        let root = read(text).unwrap().unwrap();
        let c = root.get("c").unwrap();
        let entries = c.entries();
        let shown: Vec<_> = entries.iter().map(|(key, _, line)| (*key, *line)).collect();
        assert_eq!(shown, [("b", 6), ("d", 7), ("a", 2)]);
        assert_eq!(c.get("b").unwrap().text(), Some("three"));
        assert_eq!(c.get("a").unwrap().text(), Some("1"));
        assert_eq!(c.get("d").unwrap().items().len(), 2);
        assert!(read("").unwrap().is_none());
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        assert_eq!(read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err().line, 3);
        assert!(read("a: *nobody\n").is_err());
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(read(&deep).unwrap_err().what, "too deeply nested");
    }

    #[test]
    fn a_short_file_stays_small() {
        // Ten lists of ten of the one before: 10^12 nodes, if they were copied.
        let mut text = "a0: &a0 x\n".to_owned();
        for n in 1..13 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", ")));
        }
        assert!(read(&text).unwrap().is_some());
        // Merges that merge themselves over and over.
        let mut text = "a0: &a0 {k: x}\n".to_owned();
        for n in 1..30 {
            text.push_str(&format!("a{n}: &a{n} {{<<: [*a{0}, *a{0}, *a{0}]}}\n", n - 1));
        }
        let root = read(&text).unwrap().unwrap();
        assert!(root.get("a6").unwrap().entries().len() <= 1);
    }
}
