//! What `--disk` says.

use std::path::PathBuf;
use std::str::FromStr;
use storvsc_proto::host::BlockSize;

/// A disk as the command line describes it: `PATH[,ro][,lun=N][,controller=N][,bs=512|4096]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// The image: a raw file or a block device.
    pub path: PathBuf,
    /// The guest may not write it.
    pub read_only: bool,
    /// Its LUN; the first that is free where none is given.
    pub lun: Option<u8>,
    /// The SCSI controller that it hangs on.
    pub controller: u8,
    /// Bytes of a logical block.
    pub block_size: BlockSize,
}

/// What is wrong with the description of a disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is no path.
    #[error("no path; the form is PATH[,ro][,lun=N][,controller=N][,bs=512|4096]")]
    NoPath,
    /// An option that there is not.
    #[error("no option '{0}'; there are ro, lun=N, controller=N and bs=512|4096")]
    Unknown(String),
    /// A number that is none, or out of range.
    #[error("{option}={value}: not {range}")]
    Range {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        range: &'static str,
    },
}

impl FromStr for DiskSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.split(',');
        let path = parts
            .next()
            .filter(|path| !path.is_empty())
            .ok_or(SpecError::NoPath)?;
        let mut spec = Self {
            path: path.into(),
            read_only: false,
            lun: None,
            controller: 0,
            block_size: BlockSize::B512,
        };
        for part in parts {
            match part.split_once('=') {
                None if part == "ro" => spec.read_only = true,
                Some(("lun", value)) => spec.lun = Some(number("lun", value, 63, "0 to 63")?),
                Some(("controller", value)) => {
                    spec.controller = number("controller", value, 3, "0 to 3")?;
                }
                Some(("bs", "512")) => spec.block_size = BlockSize::B512,
                Some(("bs", "4096")) => spec.block_size = BlockSize::B4096,
                Some(("bs", value)) => {
                    return Err(SpecError::Range {
                        option: "bs",
                        value: value.into(),
                        range: "512 or 4096",
                    });
                }
                _ => return Err(SpecError::Unknown(part.into())),
            }
        }
        Ok(spec)
    }
}

fn number(option: &'static str, value: &str, most: u8, range: &'static str) -> Result<u8, SpecError> {
    value
        .parse()
        .ok()
        .filter(|&number| number <= most)
        .ok_or_else(|| SpecError::Range {
            option,
            value: value.into(),
            range,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_alone_is_a_writable_disk() {
        let spec: DiskSpec = "/a/b.img".parse().unwrap();
        assert_eq!(spec.path, PathBuf::from("/a/b.img"));
        assert!(!spec.read_only && spec.lun.is_none());
        assert_eq!((spec.controller, spec.block_size), (0, BlockSize::B512));
    }

    #[test]
    fn options_come_in_any_order() {
        let spec: DiskSpec = "x,bs=4096,ro,controller=1,lun=63".parse().unwrap();
        assert!(spec.read_only);
        assert_eq!(
            (spec.lun, spec.controller, spec.block_size),
            (Some(63), 1, BlockSize::B4096)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("", "no path"),
            (",ro", "no path"),
            ("x,rw", "'rw'"),
            ("x,lun", "'lun'"),
            ("x,lun=64", "lun=64"),
            ("x,lun=-1", "lun=-1"),
            ("x,controller=4", "controller=4"),
            ("x,bs=1024", "bs=1024"),
            ("x,", "''"),
        ] {
            let error = text.parse::<DiskSpec>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
