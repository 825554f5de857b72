//! Integration services: what was said on the channels of a host and a guest, for ours in their place.

use std::io::Result;

use vmbus_fuzz::channel::{Lists, Mangle};
use vmbus_fuzz::ic::{Answer, Forged, Input, Request, Step};
use vmbus_fuzz::input::{Bytes, Seed, Steps};
use vmbus_fuzz::memory::Kind;
use vmbus_proto::ic::wire::{Body, HostMessage, SERVICES, Service};

use super::line::Line;
use super::{PACKETS, Seeds};

/// What the trace calls a service.
fn place(service: &Service) -> &'static str {
    match service.name {
        name if name == Service::TIME_SYNC.name => "time/0",
        name if name == Service::SHUTDOWN.name => "shutdown/0",
        name if name == Service::HEARTBEAT.name => "heartbeat/0",
        // The VMM does not serve it.
        _ => "",
    }
}

/// For each service one dialogue: either end says what it said, to our other end.
pub fn dialogues(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    for (number, service) in (0..).zip(SERVICES) {
        let of_service = lines.iter().filter(|line| line.place == place(service));
        let mut steps = Vec::new();
        for line in of_service.take(PACKETS) {
            if !line.is_whole {
                break;
            }
            if !line.from_guest {
                steps.extend(host(&line.bytes));
            }
            steps.extend([
                Step::Forge(
                    !line.from_guest,
                    0,
                    Lists::Nothing,
                    Forged::Raw(Bytes(line.bytes.clone())),
                    Mangle::Nothing,
                ),
                Step::Poll(!line.from_guest),
            ]);
            if !line.from_guest {
                steps.push(Step::Answer(Answer::Status(0)));
            }
        }
        if !steps.is_empty() {
            let seed = Input {
                service: number,
                kind: Kind::PageList,
                older: 0,
                steps: Steps(steps),
            };
            seeds.put("ic", seed.seed())?;
        }
    }
    Ok(())
}

/// What our host does meanwhile, so that it waits for the answer that will come.
fn host(bytes: &[u8]) -> Vec<Step> {
    match HostMessage::decode(bytes) {
        Ok((_, HostMessage::Request(Body::Shutdown(_)))) => {
            vec![Step::Ask(Request::Plain(0, 0)), Step::Poll(false)]
        }
        Ok((_, HostMessage::Request(_))) => vec![Step::Time(10_000), Step::Poll(false)],
        _ => vec![Step::Poll(false)],
    }
}
