//! Every public function of the published crates, as rustdoc tells them.

use std::collections::{BTreeMap, HashMap};

use rustdoc_types::{
    Crate, Function, GenericBound, GenericParamDefKind, Generics, Id, Impl, Item, ItemEnum, Type,
};

use super::spell::{Scope, Unspelled};

/// A public function, and how a program takes its address.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Callable {
    /// As a person calls it.
    pub(super) name: String,
    /// An expression that is a pointer to it, or the reason why there is none.
    pub(super) pointer: Result<String, Unspelled>,
}

/// The published crates' public items.
pub(super) struct Api<'a> {
    crates: &'a [Crate],
    /// From the path where an item is defined to one by which everybody can name it.
    visible: HashMap<Vec<String>, String>,
    /// From a trait's name to the types that implement it, for traits that only their crate implements.
    implementors: HashMap<String, Vec<String>>,
}

/// Traits that an embedder does not implement: one of the crate's own types each time.
const CLOSED: [&str; 5] = ["Device", "Deferred", "Duty", "OnDemand", "PdBody"];

/// Whose traits' methods are not called, and why.
pub(super) const LEFT_OUT: [(&str, &str); 2] = [
    (
        "zerocopy",
        "derived and hidden: casts that were checked when they were compiled, called by the decoders",
    ),
    (
        "bitflags",
        "what a flag word's own methods call, and those are called",
    ),
];

impl<'a> Api<'a> {
    pub(super) fn new(crates: &'a [Crate]) -> Self {
        let mut api = Self {
            crates,
            visible: HashMap::new(),
            implementors: HashMap::new(),
        };
        for krate in crates {
            if let Some(root) = krate.index.get(&krate.root) {
                let name = root.name.clone().unwrap_or_default();
                api.walk(krate, root, &name);
            }
        }
        for krate in crates {
            for item in impls(krate) {
                api.note_implementor(krate, item);
            }
        }
        api
    }

    /// Notes under which name everything in a module is seen.
    fn walk(&mut self, krate: &Crate, module: &Item, path: &str) {
        let items = match &module.inner {
            ItemEnum::Module(module) => &module.items,
            ItemEnum::Enum(parent) => &parent.variants,
            _ => return,
        };
        for item in items.iter().filter_map(|id| krate.index.get(id)) {
            match &item.inner {
                ItemEnum::Use(import) => {
                    let Some(target) = import.id.and_then(|id| krate.index.get(&id)) else {
                        continue;
                    };
                    if import.is_glob {
                        self.walk(krate, target, path);
                    } else {
                        self.see(krate, target, format!("{path}::{}", import.name));
                    }
                }
                _ => {
                    let name = item.name.as_deref().unwrap_or_default();
                    self.see(krate, item, format!("{path}::{name}"));
                }
            }
        }
    }

    fn see(&mut self, krate: &Crate, item: &Item, path: String) {
        if matches!(item.inner, ItemEnum::Module(_)) {
            self.walk(krate, item, &path);
        }
        if let Some(summary) = krate.paths.get(&item.id) {
            self.visible.entry(summary.path.clone()).or_insert(path);
        }
    }

    fn note_implementor(&mut self, krate: &Crate, found: &Impl) {
        let Some(of) = &found.trait_ else { return };
        let name = of.path.rsplit("::").next().unwrap_or_default();
        if !CLOSED.contains(&name) {
            return;
        }
        let path = self.path(krate, of.id);
        let scope = Scope::new(self, krate);
        if let (Ok(path), Ok(implementor)) = (path, scope.of_type(&found.for_)) {
            self.implementors.entry(path).or_default().push(implementor);
        }
    }

    /// How a program names an item.
    pub(super) fn path(&self, krate: &Crate, id: Id) -> Result<String, Unspelled> {
        let summary = krate.paths.get(&id).ok_or(Unspelled::Nameless)?;
        if let Some(seen) = self.visible.get(&summary.path) {
            return Ok(format!("::{seen}"));
        }
        let home = summary.path.first().map(String::as_str).unwrap_or_default();
        if self.is_published(home) {
            return Err(Unspelled::Private(summary.path.join("::")));
        }
        Ok(match summary.path.as_slice() {
            // What `core` has in a module's private modules is that module's.
            [home, module, .., name] if home == "core" => format!("::core::{module}::{name}"),
            path => format!("::{}", path.join("::")),
        })
    }

    fn is_published(&self, name: &str) -> bool {
        let named = |krate: &Crate| {
            let root = krate.index.get(&krate.root);
            root.is_some_and(|root| root.name.as_deref() == Some(name))
        };
        self.crates.iter().any(named)
    }

    /// The types that stand for a parameter with these bounds: whoever implements a closed trait, in turn.
    fn choices(&self, krate: &Crate, bounds: &[GenericBound]) -> Option<Vec<String>> {
        bounds.iter().find_map(|bound| {
            let GenericBound::TraitBound { trait_, .. } = bound else {
                return None;
            };
            let path = self.path(krate, trait_.id).ok()?;
            self.implementors.get(&path).cloned()
        })
    }

    /// Every public function, by name and in each crate's order of names; and how many were left out of whose traits.
    pub(super) fn callables(&self) -> (Vec<Callable>, BTreeMap<&'static str, usize>) {
        let mut all = Vec::new();
        let mut left_out = BTreeMap::new();
        for krate in self.crates {
            for (id, item) in &krate.index {
                match &item.inner {
                    ItemEnum::Function(function) => self.free(krate, *id, function, &mut all),
                    ItemEnum::Trait(_) => self.provided(krate, item, &mut all),
                    _ => {}
                }
            }
            for found in impls(krate) {
                self.methods(krate, found, &mut all, &mut left_out);
            }
        }
        all.sort_by(|a, b| (&a.name, pointer(a)).cmp(&(&b.name, pointer(b))));
        // One function may be seen from two crates that share a trait.
        all.dedup();
        (all, left_out)
    }

    /// A function that stands in a module.
    fn free(&self, krate: &Crate, id: Id, function: &Function, all: &mut Vec<Callable>) {
        // Methods have no path.
        let Some(summary) = krate.paths.get(&id) else {
            return;
        };
        let Some(seen) = self.visible.get(&summary.path) else {
            return;
        };
        self.add(krate, None, &This::Nobody, function, all, |_| {
            Ok(format!("::{seen}"))
        });
    }

    /// The methods that a trait brings itself, for a type that overrides none of them.
    fn provided(&self, krate: &Crate, item: &Item, all: &mut Vec<Callable>) {
        let ItemEnum::Trait(found) = &item.inner else {
            return;
        };
        let Ok(path) = self.path(krate, item.id) else {
            return;
        };
        for method in found.items.iter().filter_map(|id| krate.index.get(id)) {
            let (ItemEnum::Function(function), Some(name)) = (&method.inner, &method.name) else {
                continue;
            };
            if !function.has_body {
                continue;
            }
            let implementors = self.implementors.get(&path).cloned();
            for implementor in implementors.unwrap_or_else(|| vec![super::spell::OPAQUE.into()]) {
                let this = This::Known(&implementor);
                self.add(krate, Some(&found.generics), &this, function, all, |_| {
                    Ok(format!("<{implementor} as {path}>::{name}"))
                });
            }
        }
    }

    /// The methods of a type, and those of a trait for a type.
    fn methods(
        &self,
        krate: &Crate,
        found: &Impl,
        all: &mut Vec<Callable>,
        left_out: &mut BTreeMap<&'static str, usize>,
    ) {
        let trait_path = match &found.trait_ {
            None => None,
            Some(of) => match self.path(krate, of.id) {
                Ok(path) => Some(path),
                // A trait that nobody can name is called by nobody.
                Err(_) => return,
            },
        };
        // What stands there is the compiler's, to look at types, and its name is not stable.
        if trait_path.as_deref() == Some("::core::cmp::Eq") {
            return;
        }
        let home = trait_path
            .as_deref()
            .and_then(|path| path.split("::").nth(1))
            .unwrap_or_default();
        let functions: Vec<_> = found
            .items
            .iter()
            .filter_map(|id| krate.index.get(id))
            .filter_map(|item| match &item.inner {
                ItemEnum::Function(function) => Some((item.name.as_deref()?, function)),
                _ => None,
            })
            .collect();
        if let Some((whose, _)) = LEFT_OUT.iter().find(|(whose, _)| *whose == home) {
            *left_out.entry(whose).or_insert(0) += functions.len();
            return;
        }
        for (name, function) in functions {
            let this = This::Of(&found.for_);
            self.add(krate, Some(&found.generics), &this, function, all, |scope| {
                let implementor = scope.of_type(&found.for_)?;
                let owner = match (&trait_path, &found.trait_) {
                    (Some(path), _) if path == "::core::ops::Drop" => {
                        return Ok(format!("::core::ptr::drop_in_place::<{implementor}>"));
                    }
                    (Some(path), Some(of)) => {
                        let arguments = scope.of_arguments(of.args.as_deref())?;
                        format!("<{implementor} as {path}{arguments}>")
                    }
                    _ => format!("<{implementor}>"),
                };
                Ok(format!("{owner}::{name}"))
            });
        }
    }

    /// Adds a function, once for each choice of its parameters.
    fn add(
        &self,
        krate: &Crate,
        outer: Option<&Generics>,
        this: &This<'_>,
        function: &Function,
        all: &mut Vec<Callable>,
        spelled: impl Fn(&Scope<'_>) -> Result<String, Unspelled>,
    ) {
        let (mut rounds, mut round) = (1, 0);
        while round < rounds {
            let mut scope = Scope::new(self, krate);
            let of_this = |scope: &mut Scope<'_>| {
                let name = match this {
                    This::Nobody => return Ok(()),
                    This::Known(name) => (*name).to_owned(),
                    This::Of(spelled) => scope.of_type(spelled)?,
                };
                scope.set("Self", name);
                Ok(())
            };
            let mut named = Ok(());
            for generics in outer.into_iter().chain([&function.generics]) {
                for (name, bounds) in type_parameters(generics) {
                    if let Some(choices) = self.choices(krate, &bounds) {
                        rounds = rounds.max(choices.len());
                        if let Some(choice) = choices.get(round) {
                            scope.set(&name, choice.clone());
                        }
                    }
                }
                scope.enter(generics);
                named = of_this(&mut scope);
            }
            all.push(match named.and_then(|()| spelled(&scope)) {
                Ok(path) => Callable {
                    pointer: scope.pointer(&path, function),
                    name: plain(&path),
                },
                // What belongs to a type that nobody can name is called by nobody.
                Err(Unspelled::Private(_)) => return,
                Err(error) => Callable {
                    name: format!("{:?}", function.sig),
                    pointer: Err(error),
                },
            });
            round += 1;
        }
    }
}

/// Whose method a function is.
enum This<'t> {
    Nobody,
    Known(&'t str),
    Of(&'t Type),
}

fn pointer(callable: &Callable) -> &str {
    callable.pointer.as_deref().unwrap_or_default()
}

/// Without what only a program needs.
fn plain(name: &str) -> String {
    let name = name.replace("<::", "<").replace(" ::", " ").replace("(::", "(");
    let name = name.replace("&::", "&").replace("[::", "[");
    name.trim_start_matches("::").to_owned()
}

/// The implementations that stand in a crate's sources.
fn impls(krate: &Crate) -> impl Iterator<Item = &Impl> {
    krate.index.values().filter_map(|item| match &item.inner {
        ItemEnum::Impl(found)
            if item.crate_id == 0
                && !found.is_synthetic
                && !found.is_negative
                && found.blanket_impl.is_none() =>
        {
            Some(found)
        }
        _ => None,
    })
}

/// The parameters that are types, with all that is asked of them.
pub(super) fn type_parameters(generics: &Generics) -> Vec<(String, Vec<GenericBound>)> {
    let of = |name: &str| {
        let asked = generics
            .where_predicates
            .iter()
            .filter_map(|predicate| match predicate {
                rustdoc_types::WherePredicate::BoundPredicate {
                    type_: Type::Generic(whose),
                    bounds,
                    ..
                } if whose == name => Some(bounds.clone()),
                _ => None,
            });
        asked.flatten().collect::<Vec<_>>()
    };
    generics
        .params
        .iter()
        .filter_map(|parameter| match &parameter.kind {
            GenericParamDefKind::Type { bounds, .. } => {
                let mut bounds = bounds.clone();
                bounds.extend(of(&parameter.name));
                Some((parameter.name.clone(), bounds))
            }
            _ => None,
        })
        .collect()
}
