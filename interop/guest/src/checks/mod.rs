//! The checks, in the order in which they are run, and how each went.

mod attack;
mod bus;
mod disks;
mod network;

use vmbus_proto::guest::Connected;

use crate::attack::bytes::Dice;
use crate::boot::Boot;
use crate::disk::Channel;
use crate::memory::Memory;
use crate::nic::{Card, Sockets, Storage};
use crate::options::Options;
use crate::platform::{self, VmBus};
use crate::println;
use crate::report::{Status, Text, Verdict};
use crate::session::Session;
use crate::text;

type Check = (&'static str, fn(&mut Lab<'_>) -> Verdict);

const CHECKS: &[Check] = &[
    ("boot", bus::boot),
    ("version", bus::version),
    ("offers", bus::offers),
    ("disk_identify", disks::identify),
    ("disk_write_read", disks::write_read),
    ("disk_flush", disks::flush),
    ("disk_out_of_range", disks::out_of_range),
    ("subchannels", disks::sub_channels),
    ("dhcp", network::dhcp),
    ("ping", network::ping),
    ("tcp_up", network::tcp_up),
    ("tcp_down", network::tcp_down),
    ("rescind", disks::rescind),
    ("unload", bus::unload),
    ("reconnect", bus::reconnect),
];

/// The checks where the host is attacked: it has to be as good afterwards as it was before.
const ATTACK: &[Check] = &[
    ("boot", bus::boot),
    ("version", bus::version),
    ("offers", bus::offers),
    ("disk_identify", disks::identify),
    ("disk_write_read", disks::write_read),
    ("attack_begins", attack::begin),
    ("attack_messages", attack::messages),
    ("attack_calls", attack::calls),
    ("attack_leave", attack::leave),
    ("attack_disk", attack::storage),
    ("attack_card", attack::network),
    ("attack_services", attack::services),
    ("attack_rings", attack::rings),
    ("unload", bus::unload),
    ("reconnect", attack::reconnect),
];

/// What the checks work on, each leaving it for the next.
#[derive(Debug)]
struct Lab<'m> {
    boot: Boot,
    session: Session<'m>,
    connected: Option<Connected>,
    /// How many offers the first connection had.
    offers: usize,
    disk: Option<disks::Drive<'m>>,
    card: Option<Card<'m>>,
    sockets: Sockets<'m>,
    dice: Dice,
}

/// Runs the checks that the command line wants, and tells of each.
#[must_use]
pub fn run(boot: &Boot) -> Status {
    println!("@ready");
    match run_all(boot) {
        Ok(true) => Status::Passed,
        Ok(false) => Status::Failed,
        Err(why) => {
            println!("@fatal {}", why);
            Status::Failed
        }
    }
}

fn run_all(boot: &Boot) -> Result<bool, Text> {
    let memory = Memory::take().ok_or(text!("there is no memory"))?;
    let calls = platform::hypercalls(&memory)?;
    let mut storage = Storage::new();
    let session = Session::new(VmBus::new(&memory, &calls)?, &memory);
    let options = Options::parse(boot.command_line);
    let mut lab = Lab {
        boot: *boot,
        sockets: Sockets::new(&mut storage, &session)?,
        dice: Dice::new(options.attack.unwrap_or_default()),
        session,
        connected: None,
        offers: 0,
        disk: None,
        card: None,
    };
    let mut all_hold = true;
    let checks = if options.attack.is_some() { ATTACK } else { CHECKS };
    for (name, check) in checks.iter().filter(|(name, _)| options.wants(name)) {
        let start = lab.session.now();
        let verdict = check(&mut lab);
        let took = (lab.session.now() - start).as_millis();
        match verdict {
            Ok(seen) => println!("@check {} ok {}, {} ms", name, seen, took),
            Err(why) => {
                all_hold = false;
                println!("@check {} failed {}", name, why);
            }
        }
    }
    let (queue, buffers) = Channel::static_bytes();
    println!("@figure disk_queue_bytes {}", queue);
    println!("@figure disk_buffer_bytes {}", buffers);
    let (engine, buffers) = Card::static_bytes();
    println!("@figure nic_engine_bytes {}", engine);
    println!("@figure nic_buffer_bytes {}", buffers);
    println!("@figure bus_bytes {}", size_of::<VmBus<'_>>());
    println!("@figure pages_bytes {}", memory.most_used());
    println!("@end");
    Ok(all_hold)
}
