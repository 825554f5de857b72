//! The command line.

use clap::Parser;
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;
use vmm::boot::Boot;
use vmm::machine::Config;

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[arg(long, value_name = "BZIMAGE")]
    kernel: PathBuf,
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    #[arg(long, default_value = "console=ttyS0 panic=-1")]
    cmdline: String,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    cpus: u8,
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..=65536))]
    memory: u64,
    #[arg(long, default_value = "warn")]
    pub(crate) log: LevelFilter,
}

impl Arguments {
    pub(crate) fn config(&self) -> Config {
        Config {
            boot: Boot {
                kernel: self.kernel.clone(),
                initrd: self.initrd.clone(),
                cmdline: self.cmdline.clone(),
            },
            cpus: self.cpus,
            memory_mib: self.memory,
        }
    }
}
