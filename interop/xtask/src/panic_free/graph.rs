//! Which function refers to which, as the relocations of a static library tell it.
//!
//! The compiler puts each function, and each table of pointers, into a section of its own, so a section's relocations name
//! whatever it can reach: a call, an address that is taken, a table of a trait's methods.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use object::read::archive::ArchiveFile;
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionFlags, SectionIndex,
    SymbolIndex, SymbolKind, elf,
};

/// A section, or a symbol that no section defines.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Demangled, without hash.
    pub(super) name: String,
    /// Brought by the toolchain as it is: `core`, compiled before.
    pub(super) is_toolchain: bool,
    pub(super) is_defined: bool,
    pub(super) refers_to: Vec<usize>,
    /// Where a panic says that it happened, if this is such a place.
    pub(super) place: Option<String>,
}

/// The sections of a library.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// Global symbols, as they are mangled.
    globals: HashMap<String, usize>,
}

impl Graph {
    pub(super) fn read(library: &[u8]) -> Result<Self> {
        let mut graph = Self::default();
        let archive = ArchiveFile::parse(library).context("the library is no archive")?;
        let mut members = Vec::new();
        for member in archive.members() {
            let member = member.context("a member of the library")?;
            let name = String::from_utf8_lossy(member.name()).into_owned();
            let Ok(file) = object::File::parse(member.data(library)?) else {
                // The metadata of a crate.
                continue;
            };
            let sections = graph.define(&name, &file);
            members.push((file, sections));
        }
        for (file, sections) in &members {
            graph.connect(file, sections)?;
        }
        Ok(graph)
    }

    /// The node of a global symbol, which may be defined nowhere.
    fn global(&mut self, mangled: &str) -> usize {
        if let Some(&node) = self.globals.get(mangled) {
            return node;
        }
        self.nodes.push(Node {
            name: demangled(mangled),
            is_toolchain: false,
            is_defined: false,
            refers_to: Vec::new(),
            place: None,
        });
        let node = self.nodes.len() - 1;
        self.globals.insert(mangled.to_owned(), node);
        node
    }

    pub(super) fn find(&self, mangled: &str) -> Option<usize> {
        self.globals.get(mangled).copied()
    }

    /// Makes a node of each section that is there when a program runs.
    fn define(&mut self, member: &str, file: &object::File<'_>) -> HashMap<SectionIndex, usize> {
        let is_toolchain = ["core-", "compiler_builtins-", "rustc_std_workspace"]
            .iter()
            .any(|name| member.starts_with(name));
        let mut sections = HashMap::new();
        for section in file.sections() {
            let is_loaded = matches!(
                section.flags(),
                SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC)
            );
            let name = section.name().unwrap_or_default();
            // Tables for unwinding are no way to get anywhere.
            if is_loaded && !name.starts_with(".eh_frame") && !name.starts_with(".gcc_except_table") {
                self.nodes.push(Node {
                    name: name.to_owned(),
                    is_toolchain,
                    is_defined: true,
                    refers_to: Vec::new(),
                    place: None,
                });
                sections.insert(section.index(), self.nodes.len() - 1);
            }
        }
        for symbol in file.symbols() {
            let (Some(index), Ok(name)) = (symbol.section_index(), symbol.name()) else {
                continue;
            };
            let Some(&node) = sections.get(&index) else {
                continue;
            };
            if symbol.kind() == SymbolKind::Text {
                self.nodes[node].name = demangled(name);
            }
            if symbol.is_global() {
                // The first one wins, as for a linker.
                self.globals.entry(name.to_owned()).or_insert(node);
            }
        }
        sections
    }

    fn connect(&mut self, file: &object::File<'_>, sections: &HashMap<SectionIndex, usize>) -> Result<()> {
        for (&index, &node) in sections {
            let section = file.section_by_index(index)?;
            let mut targets = Vec::new();
            for (_, relocation) in section.relocations() {
                if let RelocationTarget::Symbol(symbol) = relocation.target()
                    && let Some(target) = self.target(file, sections, symbol)?
                {
                    targets.push((target, relocation.addend()));
                }
            }
            if let [(_, _)] = targets.as_slice()
                && let Ok(data) = section.data()
            {
                self.nodes[node].place = place(file, &section, data);
            }
            let mut refers_to: Vec<_> = targets.into_iter().map(|(target, _)| target).collect();
            refers_to.sort_unstable();
            refers_to.dedup();
            self.nodes[node].refers_to = refers_to;
        }
        Ok(())
    }

    fn target(
        &mut self,
        file: &object::File<'_>,
        sections: &HashMap<SectionIndex, usize>,
        symbol: SymbolIndex,
    ) -> Result<Option<usize>> {
        let symbol = file.symbol_by_index(symbol)?;
        if let Some(index) = symbol.section_index() {
            return Ok(sections.get(&index).copied());
        }
        Ok(Some(self.global(symbol.name()?)))
    }
}

/// What a `core::panic::Location` says: a pointer to the file's name and its length, line and column.
fn place(file: &object::File<'_>, section: &object::Section<'_, '_>, data: &[u8]) -> Option<String> {
    let [pointer, length, line_and_column] = data.as_chunks::<8>().0 else {
        return None;
    };
    let (_, relocation) = section.relocations().next()?;
    let RelocationTarget::Symbol(symbol) = relocation.target() else {
        return None;
    };
    let _ = pointer;
    let symbol = file.symbol_by_index(symbol).ok()?;
    let text = file.section_by_index(symbol.section_index()?).ok()?.data().ok()?;
    let start = usize::try_from(symbol.address().checked_add_signed(relocation.addend())?).ok()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let name = std::str::from_utf8(text.get(start..start.checked_add(length)?)?).ok()?;
    let [a, b, c, d, e, f, g, h] = *line_and_column;
    let (line, column) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    name.ends_with(".rs").then(|| format!("{name}:{line}:{column}"))
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
