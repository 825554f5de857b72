//! The command line.

use clap::{Parser, ValueEnum};
use netvsc_proto::host::MacAddress;
use std::path::PathBuf;
use std::time::Duration;
use storvsc_proto::host::BlockSize;
use tracing::level_filters::LevelFilter;
use vmm::boot::Boot;
use vmm::faults::FaultsConfig;
use vmm::image::DiskConfig;
use vmm::machine::Config;
use vmm::net::{NetConfig, Network};
use vmm::services::ServicesConfig;
use vmm::trace::SHOWN;

/// Boots a Linux kernel on a virtual machine whose only disk and network card are VMBus devices.
///
/// The machine looks like Hyper-V to its guest, whose own hv_vmbus, hv_storvsc and hv_netvsc drive the devices. It needs a KVM with
/// Hyper-V's SynIC emulation; `cargo xtask linux` finds out, and nests one where there is none.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_long_help = "\
Exit status:
  0  the guest powered the machine off
  1  the VMM or KVM failed
  2  the machine could not start; the message names what to put right
  3  the guest reset the machine; there is no firmware to start it again, so start the VMM again
  4  the guest crashed: it said so, or its processor gave up
  5  quit: at the console with Ctrl-A x, or by a signal that the guest did not follow
  or what the guest says at the test port, with --test-ports

Examples:
  vmm --kernel /boot/vmlinuz --initrd initrd.img --disk root.img --cmdline 'console=ttyS0 root=/dev/sda'
  vmm --kernel vmlinuz --disk root.img --disk data.img,ro,lun=5 --disk fast.img,bs=4096 --cpus 2
  vmm --kernel vmlinuz --initrd initrd.img --net user --pcap nic.pcap --trace bus.txt --stats run.json"
)]
pub(crate) struct Arguments {
    /// The kernel: a distribution's vmlinuz
    #[arg(long, value_name = "BZIMAGE")]
    kernel: PathBuf,

    /// The initial ramdisk
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,

    /// The kernel's command line
    #[arg(long, value_name = "STRING", default_value = "console=ttyS0 panic=-1")]
    cmdline: String,

    /// Virtual processors; the disk controller and the network card have a channel for each
    #[arg(long, value_name = "1..8", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    cpus: u8,

    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..=65_536))]
    memory: u64,

    /// A disk: a raw image or a block device; may be given several times
    ///
    /// `ro` lets the guest only read it, `lun=N` chooses its LUN (0 to 254, else the lowest free), `controller=N` its SCSI
    /// controller (0 to 3, else 0), `bs=4096` gives it blocks of that size
    /// instead of 512.
    #[arg(long = "disk", value_name = "PATH[,ro][,lun=N][,controller=N][,bs=4096]", value_parser = disk)]
    disks: Vec<DiskConfig>,

    /// What the network card is plugged into: user, tap:NAME or none
    ///
    /// `user` is a gateway inside the VMM, at 10.0.2.2: it answers ARP, DHCP and ping, and has TCP services to send to and receive from.
    /// `tap:NAME` is a TAP device of the host's, which is made where there is none. `none` leaves the card out.
    #[arg(long, value_name = "NETWORK", default_value = "none", value_parser = network)]
    net: Plug,

    /// The network card's address
    #[arg(long, value_name = "MAC", default_value = "52:54:00:12:34:56", value_parser = mac)]
    mac: MacAddress,

    /// The most bytes of a frame after its Ethernet header
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(576..=65_521))]
    mtu: u32,

    /// Record the network card's frames in this file, for Wireshark and tcpdump
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Write a trace to this file: every channel message and the first bytes of every packet and of every RNDIS message, decoded, a line
    /// each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// How many bytes of each of them the trace shows in hexadecimal digits; those of channel messages with more than 32
    #[arg(long, value_name = "COUNT", default_value_t = SHOWN)]
    trace_bytes: u16,

    /// Write counters to this file when the machine has ended
    #[arg(long, value_name = "FILE.json")]
    pub(crate) stats: Option<PathBuf>,

    /// Integration services that the guest is offered, with commas between: heartbeat, shutdown, time, or none
    ///
    /// `heartbeat` tells when the guest does not answer any more. `shutdown` lets SIGTERM and SIGINT ask the guest to power off in
    /// order; a second signal ends the machine at once. `time` sets the guest's clock and keeps telling it the time.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Service::ALL)]
    services: Vec<Service>,

    /// Seconds without an answer after which the guest's heartbeat is said to have stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    heartbeat_patience: u64,

    /// Give the guest ports to test with
    ///
    /// A byte V at port 0xF4 ends the VMM with the status 2 V + 1, as QEMU's isa-debug-exit does. A byte at port 0xF5 takes a
    /// device off the bus, 0x80 more gives it back: 0 is the first SCSI controller, the network card comes after the last, then
    /// heartbeat, shutdown and time. A byte at port 0xF6 has the host ask the guest to power off (1) or restart (2), or set its clock
    /// (3). A byte V at port 0xF7 has the processor that writes it hang for V / 10 seconds. A byte at port 0xF9 has the VMM note
    /// for the statistics how much memory it takes.
    #[arg(long)]
    test_ports: bool,

    /// Have no huge pages behind this process's memory, so that a weighing at the test port counts what was touched
    ///
    /// Else the system puts 2 MiB in the place of a few touched KiB at moments of its own.
    #[arg(long)]
    small_pages: bool,

    /// Have the devices fail at times that follow from the seed: for a guest that has to live with it
    ///
    /// Faults begin for SECONDS, 60 where they are not given, which is enough for every kind: the disks of the second controller answer
    /// late, are busy, have medium errors and unit attentions, are not served, and are taken off the bus and offered again; so is the
    /// network card, whose cable is also pulled. The disks of the other controllers are only late. The schedule is printed. With
    /// --test-ports it begins with a byte of 1 at port 0xF8, else with the machine. A controller is taken away once the guest has told by a
    /// byte of 2 there that it has let go of its disks, and the card by a byte of 3 that it sends nothing; else only the disks go, and the
    /// cable.
    #[arg(long, value_name = "SEED[,SECONDS]")]
    pub(crate) faults: Option<FaultsConfig>,

    /// How much the VMM says on standard error: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: LevelFilter,
}

impl Arguments {
    /// The machine that is asked for.
    pub(crate) fn config(&self) -> Config {
        Config {
            boot: Boot {
                kernel: self.kernel.clone(),
                initrd: self.initrd.clone(),
                cmdline: self.cmdline.clone(),
            },
            cpus: self.cpus,
            memory_mib: self.memory,
            disks: self.disks.clone(),
            net: self.net.0.clone().map(|network| {
                let card = NetConfig {
                    mac: self.mac,
                    mtu: self.mtu,
                    pcap: self.pcap.clone(),
                };
                (card, network)
            }),
            services: self.services(),
            trace: self.trace.clone(),
            trace_bytes: self.trace_bytes,
            test_ports: self.test_ports,
            small_pages: self.small_pages,
            faults: self.faults,
        }
    }

    fn services(&self) -> ServicesConfig {
        let has = |service| self.services.contains(&service);
        ServicesConfig {
            heartbeat: has(Service::Heartbeat).then_some(Duration::from_secs(self.heartbeat_patience)),
            shutdown: has(Service::Shutdown),
            time_sync: has(Service::Time),
        }
    }
}

/// What `--services` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Service {
    Heartbeat,
    Shutdown,
    Time,
    None,
}

impl Service {
    const ALL: [Self; 3] = [Self::Heartbeat, Self::Shutdown, Self::Time];
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Heartbeat => "heartbeat",
            Self::Shutdown => "shutdown",
            Self::Time => "time",
            Self::None => "none",
        })
    }
}

/// What `--net` names; nothing for `none`.
#[derive(Clone, Debug)]
struct Plug(Option<Network>);

fn network(text: &str) -> Result<Plug, String> {
    match text {
        "none" => Ok(Plug(None)),
        _ => text.parse().map(|network| Plug(Some(network))),
    }
}

/// Reads six bytes in hexadecimal with colons between.
fn mac(text: &str) -> Result<MacAddress, String> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2))
        .collect();
    let address = bytes.and_then(|bytes| bytes.try_into().ok()).map(MacAddress);
    address
        .filter(|address| address.is_station())
        .ok_or_else(|| "an address of one card has the form 52:54:00:12:34:56".into())
}

/// Reads a disk's options from the end, so that a path may have commas.
fn disk(text: &str) -> Result<DiskConfig, String> {
    let mut disk = DiskConfig {
        path: PathBuf::new(),
        read_only: false,
        controller: 0,
        lun: None,
        block_size: BlockSize::B512,
    };
    let mut rest = text;
    while let Some((path, option)) = rest.rsplit_once(',') {
        match option.split_once('=') {
            None if option == "ro" => disk.read_only = true,
            Some(("lun", number)) => match number.parse() {
                Ok(lun @ 0..=254) => disk.lun = Some(lun),
                _ => return Err(format!("lun={number}: a LUN is a number from 0 to 254")),
            },
            Some(("controller", number)) => match number.parse() {
                Ok(controller @ 0..=3) => disk.controller = controller,
                _ => return Err(format!("controller={number}: there are controllers 0 to 3")),
            },
            Some(("bs", "512")) => disk.block_size = BlockSize::B512,
            Some(("bs", "4096")) => disk.block_size = BlockSize::B4096,
            Some(("bs", size)) => return Err(format!("bs={size}: blocks have 512 or 4096 bytes")),
            _ => break,
        }
        rest = path;
    }
    if rest.is_empty() {
        return Err("the path of an image is missing".into());
    }
    disk.path = rest.into();
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_service_is_offered_unless_another_list_is_given() {
        let services = |arguments: &[&str]| {
            let arguments = ["vmm", "--kernel", "k"].iter().chain(arguments);
            Arguments::try_parse_from(arguments).map(|arguments| arguments.services())
        };
        let all = ServicesConfig {
            heartbeat: Some(Duration::from_secs(10)),
            shutdown: true,
            time_sync: true,
        };
        assert_eq!(services(&[]).unwrap(), all);
        let none = ServicesConfig {
            heartbeat: None,
            shutdown: false,
            time_sync: false,
        };
        assert_eq!(services(&["--services", "none"]).unwrap(), none);
        let two = services(&["--services", "time,heartbeat", "--heartbeat-patience", "3"]).unwrap();
        let expected = ServicesConfig {
            heartbeat: Some(Duration::from_secs(3)),
            time_sync: true,
            ..none
        };
        assert_eq!(two, expected);
        assert!(services(&["--services", "fax"]).is_err());
    }

    #[test]
    fn disks_have_options_in_any_order() {
        let plain = DiskConfig {
            path: "a.img".into(),
            read_only: false,
            controller: 0,
            lun: None,
            block_size: BlockSize::B512,
        };
        assert_eq!(disk("a.img").unwrap(), plain);
        let all = DiskConfig {
            read_only: true,
            controller: 1,
            lun: Some(5),
            block_size: BlockSize::B4096,
            ..plain.clone()
        };
        assert_eq!(disk("a.img,ro,controller=1,lun=5,bs=4096").unwrap(), all);
        assert_eq!(disk("a.img,bs=4096,lun=5,controller=1,ro").unwrap(), all);
        assert_eq!(disk("a,b.img,ro").unwrap().path, PathBuf::from("a,b.img"));
    }

    #[test]
    fn addresses_are_those_of_one_card() {
        assert_eq!(mac("02:aB:00:00:00:ff"), Ok(MacAddress([2, 0xab, 0, 0, 0, 0xff])));
        for text in [
            "",
            "02:ab:00:00:00",
            "2:ab:0:0:0:ff",
            "02:ab:00:00:00:fg",
            "01:00:00:00:00:00",
            "00:00:00:00:00:00",
        ] {
            assert!(mac(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_that_are_none_are_told() {
        for text in ["", ",ro", "a,lun=255", "a,lun=x", "a,controller=4", "a,bs=1024"] {
            assert!(disk(text).is_err(), "{text}");
        }
    }
}
