//! Types as a program writes them, with something in place of each parameter.

use std::collections::HashMap;
use std::fmt::Write as _;

use rustdoc_types::{
    Abi, AssocItemConstraintKind, Crate, Function, GenericArg, GenericArgs, GenericBound,
    GenericParamDefKind, Generics, Path, Term, Type,
};

use super::api::{Api, type_parameters};

/// What stands for whatever an embedder brings.
pub(super) const OPAQUE: &str = "::opaque::Opaque";
/// What stands for each capacity.
const CAPACITY: &str = "8";

/// Why a function cannot be written down.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Unspelled {
    #[error("{0} is private")]
    Private(String),
    #[error("rustdoc tells no path")]
    Nameless,
    #[error("there is no rule for {0}")]
    NoRule(String),
}

/// What stands for the parameters in and around a function.
pub(super) struct Scope<'a> {
    api: &'a Api<'a>,
    krate: &'a Crate,
    stands_for: HashMap<String, String>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(api: &'a Api<'a>, krate: &'a Crate) -> Self {
        Self {
            api,
            krate,
            stands_for: HashMap::new(),
        }
    }

    pub(super) fn set(&mut self, parameter: &str, with: String) {
        self.stands_for.insert(parameter.to_owned(), with);
    }

    /// Chooses something for each parameter that has nothing yet. Closures come last: their types mention others.
    pub(super) fn enter(&mut self, generics: &Generics) {
        for parameter in &generics.params {
            if let GenericParamDefKind::Const { .. } = parameter.kind {
                self.set(&parameter.name, CAPACITY.into());
            }
        }
        let mut parameters = type_parameters(generics);
        parameters.sort_by_key(|(_, bounds)| bounds.iter().any(|bound| parenthesized(bound).is_some()));
        for (name, bounds) in parameters {
            if !self.stands_for.contains_key(&name) {
                let with = self.stand_in(&bounds).unwrap_or_else(|_| OPAQUE.into());
                self.set(&name, with);
            }
        }
    }

    /// A type with these bounds.
    fn stand_in(&self, bounds: &[GenericBound]) -> Result<String, Unspelled> {
        for bound in bounds {
            if let Some((inputs, output)) = parenthesized(bound) {
                let inputs = self.list(inputs)?;
                let output = output.map(|output| self.of_type(output)).transpose()?;
                return Ok(format!("fn({inputs}) -> {}", output.as_deref().unwrap_or("()")));
            }
            for (name, container) in [("Item", "::opaque::Opaques<"), ("Target", "&'static (")] {
                if let Some(inner) = constraint(bound, name) {
                    let close = if container.ends_with('<') { ">" } else { ")" };
                    return Ok(format!("{container}{}{close}", self.of_type(inner)?));
                }
            }
        }
        Ok(OPAQUE.into())
    }

    fn list(&self, types: &[Type]) -> Result<String, Unspelled> {
        let types = types
            .iter()
            .map(|each| self.of_type(each))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(types.join(", "))
    }

    /// A type. Lifetimes are left to the compiler.
    pub(super) fn of_type(&self, spelled: &Type) -> Result<String, Unspelled> {
        Ok(match spelled {
            Type::ResolvedPath(path) => self.of_path(path)?,
            Type::Generic(name) => self
                .stands_for
                .get(name)
                .cloned()
                .ok_or_else(|| Unspelled::NoRule(name.clone()))?,
            Type::Primitive(name) if name == "never" => "!".into(),
            Type::Primitive(name) => name.clone(),
            Type::Tuple(types) if types.len() == 1 => format!("({},)", self.list(types)?),
            Type::Tuple(types) => format!("({})", self.list(types)?),
            Type::Slice(of) => format!("[{}]", self.of_type(of)?),
            Type::Array { type_, len } => {
                let len = self.stands_for.get(len).unwrap_or(len);
                format!("[{}; {len}]", self.of_type(type_)?)
            }
            Type::ImplTrait(bounds) => self.stand_in(bounds)?,
            Type::RawPointer { is_mutable, type_ } => {
                let kind = if *is_mutable { "mut" } else { "const" };
                format!("*{kind} {}", self.of_type(type_)?)
            }
            Type::BorrowedRef {
                is_mutable, type_, ..
            } => {
                let kind = if *is_mutable { "mut " } else { "" };
                format!("&{kind}{}", self.of_type(type_)?)
            }
            Type::QualifiedPath {
                name,
                self_type,
                trait_: Some(path),
                ..
            } => {
                format!(
                    "<{} as {}>::{name}",
                    self.of_type(self_type)?,
                    self.of_path(path)?
                )
            }
            other => return Err(Unspelled::NoRule(format!("{other:?}"))),
        })
    }

    fn of_path(&self, path: &Path) -> Result<String, Unspelled> {
        let mut spelled = self.api.path(self.krate, path.id)?;
        spelled.push_str(&self.of_arguments(path.args.as_deref())?);
        Ok(spelled)
    }

    /// Generic arguments in their brackets, or nothing.
    pub(super) fn of_arguments(&self, arguments: Option<&GenericArgs>) -> Result<String, Unspelled> {
        let Some(GenericArgs::AngleBracketed { args, .. }) = arguments else {
            return Ok(String::new());
        };
        let mut spelled = Vec::new();
        for argument in args {
            match argument {
                GenericArg::Lifetime(_) => {}
                GenericArg::Type(of) => spelled.push(self.of_type(of)?),
                GenericArg::Const(value) => {
                    let with = self.stands_for.get(&value.expr).unwrap_or(&value.expr);
                    spelled.push(format!("{{ {with} }}"));
                }
                GenericArg::Infer => spelled.push("_".into()),
            }
        }
        Ok(if spelled.is_empty() {
            String::new()
        } else {
            format!("<{}>", spelled.join(", "))
        })
    }

    /// A pointer to the function at this path.
    pub(super) fn pointer(&self, path: &str, function: &Function) -> Result<String, Unspelled> {
        let mut spelled = path.to_owned();
        let mut arguments = Vec::new();
        for parameter in &function.generics.params {
            let explicit = match &parameter.kind {
                GenericParamDefKind::Type { is_synthetic, .. } => !is_synthetic,
                GenericParamDefKind::Const { .. } => true,
                GenericParamDefKind::Lifetime { .. } => false,
            };
            if explicit && let Some(with) = self.stands_for.get(&parameter.name) {
                arguments.push(with.clone());
            }
        }
        if !arguments.is_empty() {
            let _ = write!(spelled, "::<{}>", arguments.join(", "));
        }
        let inputs = function
            .sig
            .inputs
            .iter()
            .map(|(_, input)| {
                if mentions_impl(input) {
                    self.of_type(input)
                } else {
                    Ok("_".into())
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut kind = String::new();
        if function.header.is_unsafe || path.starts_with("::core::ptr::drop_in_place") {
            kind.push_str("unsafe ");
        }
        match &function.header.abi {
            Abi::Rust => {}
            Abi::C { .. } => kind.push_str("extern \"C\" "),
            other => return Err(Unspelled::NoRule(format!("{other:?}"))),
        }
        Ok(format!("{spelled} as {kind}fn({}) -> _", inputs.join(", ")))
    }
}

/// Whether a parameter's type has one in it that has no name.
fn mentions_impl(spelled: &Type) -> bool {
    match spelled {
        Type::ImplTrait(_) => true,
        Type::BorrowedRef { type_, .. } | Type::Slice(type_) | Type::Array { type_, .. } => {
            mentions_impl(type_)
        }
        Type::Tuple(types) => types.iter().any(mentions_impl),
        Type::ResolvedPath(path) => match path.args.as_deref() {
            Some(GenericArgs::AngleBracketed { args, .. }) => args
                .iter()
                .any(|argument| matches!(argument, GenericArg::Type(of) if mentions_impl(of))),
            _ => false,
        },
        _ => false,
    }
}

/// The arguments and the result of `Fn(A) -> B`.
fn parenthesized(bound: &GenericBound) -> Option<(&[Type], Option<&Type>)> {
    let GenericBound::TraitBound { trait_, .. } = bound else {
        return None;
    };
    match trait_.args.as_deref() {
        Some(GenericArgs::Parenthesized { inputs, output }) => Some((inputs, output.as_ref())),
        _ => None,
    }
}

/// The type that an associated one is to be.
fn constraint<'b>(bound: &'b GenericBound, name: &str) -> Option<&'b Type> {
    let GenericBound::TraitBound { trait_, .. } = bound else {
        return None;
    };
    let Some(GenericArgs::AngleBracketed { constraints, .. }) = trait_.args.as_deref() else {
        return None;
    };
    constraints
        .iter()
        .find_map(|constraint| match &constraint.binding {
            AssocItemConstraintKind::Equality(Term::Type(of)) if constraint.name == name => Some(of),
            _ => None,
        })
}
