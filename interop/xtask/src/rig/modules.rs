//! A kernel's modules: which are needed for what, and in which order.
//!
//! A package that was never installed has no `modules.dep`; what a module depends on stands in the module itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _};

use crate::bad_input;

/// The modules of one kernel, by name.
pub(crate) struct Modules {
    release: String,
    loadable: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

/// A module asked for by name.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// A kernel without it, loadable or built in, will not do.
    Needed(&'a str),
    /// Loaded where the kernel has it as a module.
    IfThere(&'a str),
}

/// A module, ready to be loaded.
pub(crate) struct Module {
    /// With `_` for `-`, as the kernel shows it.
    pub(crate) name: String,
    /// The ELF file, decompressed: a small busybox knows not every compression.
    pub(crate) file: Vec<u8>,
    /// Names of the modules to load before it, or built in.
    pub(crate) depends: Vec<String>,
}

impl Modules {
    /// Looks through a `lib/modules/RELEASE`.
    pub(crate) fn find(folder: &Path, release: &str) -> Result<Self> {
        let mut loadable = BTreeMap::new();
        collect(&folder.join("kernel"), &mut loadable)
            .with_context(|| format!("cannot read the modules in {}", folder.display()))?;
        let list = folder.join("modules.builtin");
        let list =
            std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        Ok(Self {
            release: release.into(),
            loadable,
            built_in: parse_built_in(&list),
        })
    }

    /// The named modules and all that they depend on, in the order in which to load them. What is built in needs no
    /// loading.
    pub(crate) fn closure(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Module>> {
        let mut order = Vec::new();
        for wanted in wanted {
            match wanted {
                Wanted::Needed(name) => self.visit(name, &mut order)?,
                Wanted::IfThere(name) if self.loadable.contains_key(*name) => self.visit(name, &mut order)?,
                Wanted::IfThere(_) => {}
            }
        }
        Ok(order)
    }

    /// The ELF file of a module, decompressed; `None` where it is built in or is not there.
    pub(crate) fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let file = self
            .loadable
            .get(name)
            .map(|path| read(path).with_context(|| format!("cannot read the module {}", path.display())));
        file.transpose()
    }

    /// Whether the kernel has the module in itself.
    pub(crate) fn is_built_in(&self, name: &str) -> bool {
        self.built_in.contains(name)
    }

    fn visit(&self, name: &str, order: &mut Vec<Module>) -> Result<()> {
        if self.is_built_in(name) || order.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let file = self.file(name)?.ok_or_else(|| {
            bad_input(format!(
                "kernel {} has no module {name}: it cannot be a Hyper-V guest",
                self.release
            ))
        })?;
        let depends = depends(&file).with_context(|| format!("{name} is no kernel module"))?;
        for dependency in &depends {
            self.visit(dependency, order)?;
        }
        order.push(Module {
            name: name.into(),
            file,
            depends,
        });
        Ok(())
    }
}

/// The `modules.dep` of a folder that holds just these modules, which stand in load order.
pub(crate) fn modules_dep(modules: &[Module]) -> String {
    let mut text = String::new();
    for module in modules {
        let needed = all_depends(module, modules);
        text += &format!("{}.ko:", module.name);
        // modprobe loads from the end of the line to its start.
        let nearest_first = modules
            .iter()
            .rev()
            .filter(|other| needed.contains(other.name.as_str()));
        text.extend(nearest_first.map(|other| format!(" {}.ko", other.name)));
        text.push('\n');
    }
    text
}

fn all_depends<'a>(module: &'a Module, modules: &'a [Module]) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![module];
    while let Some(module) = open.pop() {
        for name in &module.depends {
            if found.insert(name.as_str()) {
                open.extend(modules.iter().find(|other| other.name == *name));
            }
        }
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, found)?;
        } else if let Some(name) = module_name(&path) {
            found.insert(name, path);
        }
    }
    Ok(())
}

/// The name of the module in a file, `None` where the file holds no module.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = [".ko", ".ko.xz", ".ko.zst"]
        .iter()
        .find_map(|end| file.strip_suffix(end))?;
    Some(stem.replace('-', "_"))
}

fn parse_built_in(list: &str) -> BTreeSet<String> {
    list.lines()
        .filter_map(|line| module_name(Path::new(line.trim())))
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let packed = std::fs::read(path)?;
    let mut file = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => lzma_rust2::XzReader::new(packed.as_slice(), false).read_to_end(&mut file)?,
        Some("zst") => ruzstd::decoding::StreamingDecoder::new(packed.as_slice())?.read_to_end(&mut file)?,
        _ => return Ok(packed),
    };
    Ok(file)
}

/// What the `.modinfo` section of a module says that it depends on.
fn depends(file: &[u8]) -> Result<Vec<String>> {
    let elf = object::File::parse(file)?;
    let section = elf
        .section_by_name(".modinfo")
        .context("it has no .modinfo section")?;
    Ok(parse_depends(section.data()?))
}

fn parse_depends(modinfo: &[u8]) -> Vec<String> {
    modinfo
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix("depends="))
        .flat_map(|names| names.split(','))
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, depends: &[&str]) -> Module {
        Module {
            name: name.into(),
            file: Vec::new(),
            depends: depends.iter().map(|&name| name.into()).collect(),
        }
    }

    #[test]
    fn a_file_gives_a_module_its_name() {
        for (file, name) in [
            ("kernel/drivers/hv/hv_vmbus.ko", Some("hv_vmbus")),
            ("kernel/arch/x86/kvm/kvm-amd.ko.xz", Some("kvm_amd")),
            ("x.ko.zst", Some("x")),
            ("modules.order", None),
            ("x.ko.debug", None),
        ] {
            assert_eq!(module_name(Path::new(file)).as_deref(), name);
        }
    }

    #[test]
    fn the_list_of_built_in_modules_holds_paths() {
        let built_in = parse_built_in("kernel/fs/ext4/ext4.ko\nkernel/lib/crc-t10dif.ko\n");
        assert!(built_in.contains("ext4") && built_in.contains("crc_t10dif"));
    }

    #[test]
    fn modinfo_is_a_list_of_strings() {
        assert_eq!(
            parse_depends(b"license=GPL\0depends=scsi_mod,hv-vmbus\0name=x\0"),
            ["scsi_mod", "hv_vmbus"]
        );
        assert!(parse_depends(b"depends=\0retpoline=Y\0").is_empty());
    }

    #[test]
    fn modprobe_is_told_every_dependency() {
        let modules = [
            module("bus", &[]),
            module("scsi", &["bus"]),
            module("disk", &["bus", "scsi", "built_in"]),
            module("sd", &["disk"]),
        ];
        assert_eq!(
            modules_dep(&modules),
            "bus.ko:\nscsi.ko: bus.ko\ndisk.ko: scsi.ko bus.ko\nsd.ko: disk.ko scsi.ko bus.ko\n"
        );
    }

    #[test]
    fn a_missing_module_is_named_and_an_optional_one_is_not_missed() {
        let modules = Modules {
            release: "6.1".into(),
            loadable: BTreeMap::new(),
            built_in: ["ext4".to_owned()].into(),
        };
        assert!(
            modules
                .closure(&[Wanted::Needed("ext4"), Wanted::IfThere("sg")])
                .unwrap()
                .is_empty()
        );
        let error = modules
            .closure(&[Wanted::Needed("hv_vmbus")])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("hv_vmbus"), "{error}");
    }
}
