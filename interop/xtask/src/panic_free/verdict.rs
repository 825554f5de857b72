//! Who can reach a panic, and by which way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::api::Callable;
use super::graph::Graph;
use super::program::ROOT;
use crate::workspace::PUBLISHED;

/// What compiled code may call without any library: a freestanding compiler's own functions, and the opaque platform.
const FREESTANDING: [&str; 8] = [
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "opaque_make",
    "opaque_look",
    "_GLOBAL_OFFSET_TABLE_",
];

/// A function of ours that panics, or calls what does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// The last function of a published crate on the way.
    pub(super) culprit: String,
    /// From a public function to the panic, or to what nobody defines.
    pub(super) way: Vec<String>,
    /// Where it says that it panics; of several it is one.
    pub(super) places: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Verdict {
    /// How many functions were called, by crate.
    called: BTreeMap<String, usize>,
    /// Functions that the program cannot call, with the reason.
    uncalled: Vec<(String, String)>,
    panics: Vec<Finding>,
    undefined: Vec<Finding>,
}

impl Verdict {
    pub(super) fn holds(&self) -> bool {
        self.panics.is_empty() && self.undefined.is_empty() && self.uncalled.is_empty()
    }
}

/// Judges the program.
pub(super) fn judge(graph: &Graph, callables: &[Callable]) -> Verdict {
    let mut called = BTreeMap::new();
    let mut uncalled = Vec::new();
    let mut roots = Vec::new();
    for (number, callable) in callables.iter().enumerate() {
        match (&callable.pointer, graph.find(&format!("{ROOT}{number}"))) {
            (Ok(_), Some(node)) => {
                roots.push((node, callable.name.as_str()));
                *called.entry(crate_of(&callable.name)).or_insert(0) += 1;
            }
            (Ok(_), None) => uncalled.push((callable.name.clone(), "it is not in the library".into())),
            (Err(error), _) => uncalled.push((callable.name.clone(), error.to_string())),
        }
    }
    let is_panic = |node: usize| graph.nodes[node].name.ends_with("rust_begin_unwind");
    let is_undefined = |node: usize| {
        let node = &graph.nodes[node];
        !node.is_defined && !FREESTANDING.contains(&node.name.as_str())
    };
    Verdict {
        called,
        uncalled,
        panics: findings(graph, &roots, is_panic),
        undefined: findings(graph, &roots, is_undefined),
    }
}

/// The crate whose function this is: the first that its name mentions.
fn crate_of(name: &str) -> String {
    let crates = PUBLISHED.map(|(package, _)| package.replace('-', "_"));
    crates
        .into_iter()
        .filter_map(|name_of| Some((name.find(&format!("{name_of}::"))?, name_of)))
        .min()
        .map_or_else(String::new, |(_, name_of)| name_of)
}

/// How `core` prints. Its own code has panics that no arguments of ours lead to, such as that of a buffer for a number's
/// digits; what it is given to print is looked into, as whoever prints refers to that.
fn is_boundary(graph: &Graph, node: usize) -> bool {
    let node = &graph.nodes[node];
    let own = ["core::fmt::", "<core::fmt::"];
    node.is_toolchain
        && (own.iter().any(|start| node.name.starts_with(start))
            || node.name.starts_with('<') && node.name.contains(" as core::fmt::"))
}

/// The ways from the roots to such nodes, one for each function of ours from which one leads out of our code.
fn findings(graph: &Graph, roots: &[(usize, &str)], is_target: impl Fn(usize) -> bool) -> Vec<Finding> {
    let nodes = &graph.nodes;
    let ends: Vec<_> = (0..nodes.len()).filter(|&node| is_target(node)).collect();
    // From the panic back through the toolchain's own code: for each node the next one on the shortest way.
    let into = |to: usize, from: usize| nodes[from].is_toolchain && !is_boundary(graph, from) && from != to;
    let down = paths(&referrers(graph), &ends, into);
    // From the public functions on.
    let starts: Vec<_> = roots.iter().map(|(node, _)| *node).collect();
    let forward: Vec<_> = nodes.iter().map(|node| node.refers_to.clone()).collect();
    let up = paths(&forward, &starts, |from, _| {
        !is_boundary(graph, from) && !is_target(from)
    });

    let mut found = BTreeMap::<usize, Finding>::new();
    for (last, node) in nodes.iter().enumerate() {
        if node.is_toolchain || is_target(last) || up[last].is_none() {
            continue;
        }
        let Some(&out) = node.refers_to.iter().find(|&&to| down[to].is_some()) else {
            continue;
        };
        let mut way: Vec<_> = follow(&up, last).into_iter().rev().collect();
        let culprit = way
            .iter()
            .rev()
            .find(|&&node| is_published(&nodes[node].name))
            .copied()
            .unwrap_or(last);
        let finding = found.entry(culprit).or_insert_with(|| {
            way.extend(follow(&down, out));
            let root = roots.iter().find(|(node, _)| way.first() == Some(node));
            Finding {
                culprit: nodes[culprit].name.clone(),
                // The root itself only takes the address.
                way: root
                    .map(|(_, name)| (*name).to_owned())
                    .into_iter()
                    .chain(way.iter().skip(1).map(|&node| nodes[node].name.clone()))
                    .collect(),
                places: BTreeSet::new(),
            }
        });
        let places = node
            .refers_to
            .iter()
            .filter_map(|&node| nodes[node].place.clone());
        finding.places.extend(places);
    }
    found.into_values().collect()
}

/// Whether a function is of a published crate, or made of a generic one for it.
fn is_published(name: &str) -> bool {
    !crate_of(name).is_empty()
}

/// Who refers to each node.
fn referrers(graph: &Graph) -> Vec<Vec<usize>> {
    let mut referrers = vec![Vec::new(); graph.nodes.len()];
    for (from, node) in graph.nodes.iter().enumerate() {
        for &to in &node.refers_to {
            referrers[to].push(from);
        }
    }
    referrers
}

/// The shortest way from each node that is reached back to one of the starts: the node before it, which for a start is itself.
fn paths(
    edges: &[Vec<usize>],
    starts: &[usize],
    passes: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let mut before = vec![None; edges.len()];
    let mut queue: VecDeque<_> = starts.iter().copied().collect();
    for &start in starts {
        before[start] = Some(start);
    }
    while let Some(at) = queue.pop_front() {
        for &to in &edges[at] {
            if before[to].is_none() && passes(at, to) {
                before[to] = Some(at);
                queue.push_back(to);
            }
        }
    }
    before
}

/// The nodes from one back to its start.
fn follow(before: &[Option<usize>], from: usize) -> Vec<usize> {
    let mut way = vec![from];
    let mut at = from;
    while let Some(to) = before[at].filter(|&to| to != at) {
        way.push(to);
        at = to;
    }
    way
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.culprit)?;
        for place in &self.places {
            writeln!(f, "    at {place}")?;
        }
        writeln!(f, "    reached by:")?;
        for step in &self.way {
            writeln!(f, "      {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.panics {
            writeln!(f, "PANIC: {finding}")?;
        }
        for finding in &self.undefined {
            writeln!(f, "DEFINED NOWHERE: {finding}")?;
        }
        for (name, why) in &self.uncalled {
            writeln!(f, "NOT CALLED: {name}: {why}")?;
        }
        for (name, count) in &self.called {
            writeln!(f, "{name}: {count} functions called")?;
        }
        writeln!(
            f,
            "{} functions called; {} places that panic, {} that need more than a core library; {} functions not called",
            self.called.values().sum::<usize>(),
            self.panics.len(),
            self.undefined.len(),
            self.uncalled.len(),
        )
    }
}
