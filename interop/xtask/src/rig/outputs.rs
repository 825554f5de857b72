//! The files that a run is to write.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::bad_input;

/// The files that the user wants, made before anything else: a path that is no good is told at once.
pub(crate) struct Outputs {
    pub(crate) trace: Option<PathBuf>,
    pub(crate) pcap: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
}

impl Outputs {
    pub(crate) fn make(
        trace: Option<&PathBuf>,
        pcap: Option<&PathBuf>,
        report: Option<&PathBuf>,
    ) -> Result<Self> {
        let make = |path: Option<&PathBuf>| {
            path.map(|path| {
                fs::File::create(path)
                    .and_then(|_| path.canonicalize())
                    .map_err(|error| bad_input(format!("cannot write {}: {error}", path.display())))
            })
            .transpose()
        };
        Ok(Self {
            trace: make(trace)?,
            pcap: make(pcap)?,
            report: make(report)?,
        })
    }
}
