//! Facts from BTF, the type information that a kernel and its modules carry.

use anyhow::{Context as _, Result};
use btf_rs::{Btf, BtfSection, BtfType, Type};

use super::facts::{Enumeration, Facts, Field, Layout};

/// Type information of a kernel or of one of its modules.
pub(super) struct Types(Btf);

impl Types {
    /// Of the kernel itself.
    pub(super) fn of_kernel(bytes: &[u8]) -> Result<Self> {
        Ok(Self(Btf::from_bytes(bytes)?))
    }

    /// Of a module: what the kernel does not have already.
    pub(super) fn of_module(&self, bytes: &[u8]) -> Result<Self> {
        Ok(Self(Btf::from_split_bytes(bytes, &self.0)?))
    }

    /// Adds the structures and enumerations whose names are wanted. Those of a module are its own ones, and not those
    /// of the kernel below.
    pub(super) fn add_to(&self, facts: &mut Facts, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let section: &BtfSection = self.0.split().unwrap_or_else(|| self.0.base());
        let (first, last) = section.type_id_range();
        for id in first..=last {
            match &section.resolve_type_by_id(id)? {
                Type::Struct(aggregate) | Type::Union(aggregate) => {
                    let name = self.name(aggregate);
                    if !name.is_empty() && wanted(&name) {
                        let mut fields = Vec::new();
                        self.fields(aggregate, 0, "", &mut fields)
                            .with_context(|| format!("struct {name}"))?;
                        let size = u64::try_from(aggregate.size())?;
                        facts.add_struct(&name, Layout { size, fields });
                    }
                }
                Type::Enum(enumeration) => {
                    let values: Vec<_> = enumeration
                        .members
                        .iter()
                        .map(|member| {
                            let value = if enumeration.is_signed() {
                                i64::from(member.val().cast_signed())
                            } else {
                                i64::from(member.val())
                            };
                            (self.name(member), value)
                        })
                        .collect();
                    let mut name = self.name(enumeration);
                    if let (true, Some((first, _))) = (name.is_empty(), values.first()) {
                        name = format!("(anon:{first})");
                    }
                    if !values.is_empty() && wanted(&name) {
                        let size = u64::try_from(enumeration.size())?;
                        facts.add_enum(&name, Enumeration { size, values });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn name(&self, one: &dyn BtfType) -> String {
        self.0.resolve_name(one).unwrap_or_default()
    }

    /// The fields of an aggregate that stands at this bit, with what leads to their names.
    fn fields(
        &self,
        aggregate: &btf_rs::Struct,
        at: u64,
        prefix: &str,
        found: &mut Vec<Field>,
    ) -> Result<()> {
        for member in &aggregate.members {
            let name = self.name(member);
            let start = at + u64::from(member.bit_offset());
            let kind = self.resolved(self.0.resolve_chained_type(member)?)?;
            let width = match member.bitfield_size() {
                Some(bits) if bits != 0 => u64::from(bits),
                _ => self.bytes(&kind)? * 8,
            };
            if !name.is_empty() {
                found.push(Field(format!("{prefix}{name}"), start, width));
            }
            if let Type::Struct(inner) | Type::Union(inner) = &kind
                && self.name(inner).is_empty()
            {
                let below = if name.is_empty() {
                    prefix.to_owned()
                } else {
                    format!("{prefix}{name}.")
                };
                self.fields(inner, start, &below, found)?;
            }
        }
        Ok(())
    }

    /// The type behind typedefs and qualifiers.
    fn resolved(&self, mut one: Type) -> Result<Type> {
        loop {
            one = match &one {
                Type::Typedef(alias) => self.0.resolve_chained_type(alias)?,
                Type::Volatile(qualifier) | Type::Const(qualifier) | Type::Restrict(qualifier) => {
                    self.0.resolve_chained_type(qualifier)?
                }
                Type::TypeTag(tag) => self.0.resolve_chained_type(tag)?,
                _ => return Ok(one),
            };
        }
    }

    fn bytes(&self, kind: &Type) -> Result<u64> {
        Ok(match kind {
            Type::Int(int) => u64::try_from(int.size())?,
            Type::Ptr(_) => 8,
            Type::Array(array) => {
                let item = self.resolved(self.0.resolve_chained_type(array)?)?;
                self.bytes(&item)? * u64::try_from(array.len())?
            }
            Type::Struct(aggregate) | Type::Union(aggregate) => u64::try_from(aggregate.size())?,
            Type::Enum(enumeration) => u64::try_from(enumeration.size())?,
            Type::Enum64(enumeration) => u64::try_from(enumeration.size())?,
            Type::Float(float) => u64::try_from(float.size())?,
            other => anyhow::bail!("a field of kind {}", other.name()),
        })
    }
}
