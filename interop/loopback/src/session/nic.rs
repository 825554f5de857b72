//! The network card's part.

use netvsc_proto::guest::{Properties, Teardown};
use netvsc_proto::nic::MacAddress;
use vmbus_proto::wire::{Version, interface};

use super::{Failure, Steps, pattern};
use crate::error::{Result, unexpected};
use crate::guest::{Buffers, NicDriver};
use crate::machine::Machine;
use crate::wire::FarEnd;

/// Frames that are sent and come back, on each channel.
const FRAMES: usize = 200;
/// Bytes of an Ethernet header, with an EtherType that is for experiments.
const HEADER: usize = 14;
const ETHER_TYPE: [u8; 2] = [0x88, 0xb5];
/// Whom the guest sends to.
const FAR: MacAddress = MacAddress([0x02, 0, 0, 0, 0, 1]);
const WHO: &str = "the guest's network card";

/// A card, and its driver.
#[derive(Debug)]
pub(crate) struct NicInUse {
    driver: NicDriver,
    properties: Properties,
    version: Version,
}

impl NicInUse {
    /// Opens the primary channel, lends the buffers, and brings the card up.
    pub(super) fn open(machine: &mut Machine, steps: &mut Steps<'_>) -> Result<Self, Failure> {
        let mut driver = steps.step("nic channel", || {
            let opened = machine.open_primary(interface::NETWORK)?;
            let buffers = Buffers::lend(machine.guest_mut(), opened.channel)?;
            for gpadl in buffers.gpadls() {
                machine.until("GPADL_CREATED", |guest| Ok(guest.is_created(gpadl).then_some(())))?;
            }
            let detail = format!("2 buffers of {} KiB lent", buffers.len() >> 10);
            Ok((NicDriver::new(machine.guest(), opened, buffers)?, detail))
        })?;
        let (properties, version) = steps.step("nic up", || {
            let properties = machine.until("the NIC's properties", |guest| {
                driver.serve(guest, drop_frame)?;
                Ok(driver.told().ready)
            })?;
            driver.listen()?;
            machine.until("the packet filter", |guest| {
                driver.serve(guest, drop_frame)?;
                Ok(driver.told().listening.then_some(()))
            })?;
            let detail = format!(
                "NVSP {}, {}, MTU {}, link {} at {} Gbit/s",
                properties.version,
                properties.mac,
                properties.mtu,
                if properties.link_up { "up" } else { "down" },
                properties.link_speed / 1_000_000_000,
            );
            let connected = machine.guest().connected();
            let version = connected
                .ok_or_else(|| unexpected("the guest", "no connection"))?
                .version;
            Ok(((properties, version), detail))
        })?;
        Ok(Self {
            driver,
            properties,
            version,
        })
    }

    /// Opens sub-channels, sends frames both ways, and has the cable pulled.
    pub(super) fn try_out(
        &mut self,
        machine: &mut Machine,
        sub_channels: u16,
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure> {
        let Self {
            driver, properties, ..
        } = self;
        steps.step("nic channels", || {
            if sub_channels > 0 {
                open_sub_channels(machine, driver, sub_channels)?;
            }
            Ok(((), format!("{sub_channels} more opened")))
        })?;
        steps.step("frames", || {
            machine.set_wire(|wire| wire.set_far_end(FarEnd::Reflector));
            let channels = driver.channels().len();
            let longest = properties.mtu as usize + HEADER;
            for place in 0..channels {
                reflect(machine, driver, properties.mac, place, longest)?;
            }
            machine.set_wire(|wire| wire.set_far_end(FarEnd::Sink));
            let detail = format!(
                "{FRAMES} of up to {longest} bytes sent and back on each of {channels} channel(s), every byte compared"
            );
            Ok(((), detail))
        })?;
        steps.step("link", || {
            for up in [false, true] {
                driver.forget_link();
                machine.set_wire(|wire| wire.plug(up));
                let told = machine.until("the state of the link", |guest| {
                    driver.serve(guest, drop_frame)?;
                    Ok(driver.told().link)
                })?;
                if told != up {
                    return Err(unexpected(
                        WHO,
                        format_args!("it was told that the link is up: {told}"),
                    ));
                }
            }
            Ok(((), "pulled and plugged in, both told".into()))
        })
    }

    /// Takes the card down, the sub-channels first, and takes its memory back in the order that the version asks for.
    pub(super) fn close(self, machine: &mut Machine, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let Self {
            mut driver, version, ..
        } = self;
        steps.step("nic closed", || {
            machine.until("the end of what is under way", |guest| {
                driver.serve(guest, drop_frame)?;
                Ok((driver.outstanding() == 0).then_some(()))
            })?;
            let channels = driver.channels();
            let (primary, others) = channels
                .split_first()
                .ok_or_else(|| unexpected(WHO, "no channel"))?;
            driver.drop_sub_channels();
            for channel in others {
                machine.close(*channel)?;
            }
            driver.shut_down()?;
            machine.until("the end of the NIC", |guest| {
                driver.serve(guest, drop_frame)?;
                Ok(driver.told().shut_down.then_some(()))
            })?;
            let gpadls = driver.into_buffers().gpadls();
            let order = Teardown::order(version);
            let when = match order {
                Teardown::BeforeClose => {
                    gpadls.iter().try_for_each(|gpadl| machine.take_back(*gpadl))?;
                    machine.close(*primary)?;
                    "before"
                }
                Teardown::AfterClose => {
                    machine.close(*primary)?;
                    gpadls.iter().try_for_each(|gpadl| machine.take_back(*gpadl))?;
                    "after"
                }
            };
            let count = channels.len();
            Ok((
                (),
                format!("{count} channel(s), the buffers taken back {when} the last"),
            ))
        })
    }

    /// Sends `count` frames of this length on the primary channel, to a far end that takes them all. Returns how many it took.
    pub(crate) fn send_frames(&mut self, machine: &mut Machine, len: usize, count: u64) -> Result<u64> {
        let Self {
            driver, properties, ..
        } = self;
        let frame = frame(FAR, properties.mac, len, 0);
        let before = machine.wire().frames();
        let (mut sent, mut done) = (0, 0);
        while done < count {
            while sent < count && driver.transmit(0, &frame)? {
                sent += 1;
            }
            driver.ring(machine.guest(), 0)?;
            done += machine.until("the completion of a frame", |guest| {
                driver.serve(guest, drop_frame)?;
                let done = driver.take_transmitted(0);
                Ok((done > 0).then_some(done as u64))
            })?;
        }
        let arrived = machine.wire().frames().wrapping_sub(before);
        if arrived != count {
            return Err(unexpected(
                "the network",
                format_args!("{arrived} of {count} frames arrived"),
            ));
        }
        Ok(count)
    }

    /// Takes at least `count` frames of this length from a far end that sends as many as are taken. Returns how many came.
    pub(crate) fn receive_frames(&mut self, machine: &mut Machine, len: usize, count: u64) -> Result<u64> {
        let driver = &mut self.driver;
        let mut received = 0;
        while received < count {
            received += machine.until("a frame", |guest| {
                let mut frames = 0;
                driver.serve(guest, |_, frame| {
                    frames += u64::from(frame.len() == len);
                    Ok(())
                })?;
                Ok((frames > 0).then_some(frames))
            })?;
        }
        Ok(received)
    }
}

fn open_sub_channels(machine: &mut Machine, driver: &mut NicDriver, count: u16) -> Result<()> {
    driver.ask_sub_channels(count)?;
    let granted = machine.until("the answer to a request for sub-channels", |guest| {
        driver.serve(guest, drop_frame)?;
        Ok(driver.told().sub_channels)
    })?;
    if granted != count {
        return Err(unexpected(
            "the host's network card",
            format_args!("{granted} sub-channels"),
        ));
    }
    let primary = driver.channels();
    let primary = *primary.first().ok_or_else(|| unexpected(WHO, "no channel"))?;
    for index in 1..=count {
        let opened = machine.open_sub_channel(primary, index)?;
        driver.add_sub_channel(index, opened);
    }
    Ok(())
}

/// Sends frames of all lengths up to `longest` on the channel in this place, and compares what comes back.
fn reflect(
    machine: &mut Machine,
    driver: &mut NicDriver,
    mac: MacAddress,
    place: usize,
    longest: usize,
) -> Result<()> {
    let len = |number: usize| HEADER + number * (longest - HEADER) / (FRAMES - 1);
    let (mut sent, mut back) = (0, 0);
    while back < FRAMES {
        while sent < FRAMES && driver.transmit(place, &frame(FAR, mac, len(sent), sent))? {
            sent += 1;
        }
        driver.ring(machine.guest(), place)?;
        machine.until("a frame that comes back", |guest| {
            let before = back;
            driver.serve(guest, |at, received| {
                if at != place || received != frame(mac, FAR, len(back), back) {
                    let what = format_args!("frame {back} came back wrong, or on channel {at}");
                    return Err(unexpected("the network", what));
                }
                back += 1;
                Ok(())
            })?;
            let moved = driver.take_transmitted(place) > 0 || back > before;
            Ok(moved.then_some(()))
        })?;
    }
    Ok(())
}

fn frame(to: MacAddress, from: MacAddress, len: usize, number: usize) -> Vec<u8> {
    let mut frame = [to.0.as_slice(), &from.0, &ETHER_TYPE].concat();
    frame.extend(pattern(len.saturating_sub(HEADER), number * 7));
    frame
}

/// For what nobody waits for.
fn drop_frame(_: usize, _: &[u8]) -> Result<()> {
    Ok(())
}
