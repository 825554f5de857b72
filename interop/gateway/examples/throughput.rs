//! How fast the gateway is, with another smoltcp stack as its client in the same process: two threads, no VM.
//!
//! `cargo run --release -p gateway --example throughput [MEBIBYTES]`

#[path = "../tests/common/station.rs"]
mod station;

use std::error::Error;
use std::time::Instant;

use gateway::services::{ECHO_PORT, Pattern, Request, SINK_PORT, SOURCE_PORT, Summary};
use gateway::{Checksums, Config, Runner};
use smoltcp::phy::{Checksum, ChecksumCapabilities};
use station::Station;

fn main() -> Result<(), Box<dyn Error>> {
    let mebibytes: usize = std::env::args()
        .nth(1)
        .map_or(Ok(256), |argument| argument.parse())?;
    let mut bytes = vec![0; mebibytes << 20];
    Pattern::new(1).fill(&mut bytes);
    println!("{mebibytes} MiB each, MB/s as the client sees them");
    println!(
        "{:>6} {:>10} {:>8} {:>8} {:>8}",
        "MTU", "checksums", "up", "down", "echo"
    );
    for (mtu, checksums) in [1500, 9000, 65535]
        .into_iter()
        .flat_map(|mtu| [Checksums::Software, Checksums::Offloaded].map(|checksums| (mtu, checksums)))
    {
        let config = Config {
            mtu,
            checksums,
            ..Config::default()
        };
        let mut client = ChecksumCapabilities::default();
        if checksums == Checksums::Offloaded {
            client.tcp = Checksum::None;
        }
        let mut station = Station::new(Runner::new(&config)?, mtu, client);
        let mut rate = |port, say: &[u8]| {
            let started = Instant::now();
            let heard = station.talk(port, say);
            let rate = bytes.len() as f64 / 1e6 / started.elapsed().as_secs_f64();
            (rate, heard)
        };
        let (up, line) = rate(SINK_PORT, &bytes);
        let request = Request {
            len: bytes.len() as u64,
            seed: 1,
        };
        let (down, received) = rate(SOURCE_PORT, format!("{request}\n").as_bytes());
        let (echo, echoed) = rate(ECHO_PORT, &bytes);
        let counted = Summary::parse(&line).is_some_and(|summary| summary.len == request.len);
        if !counted || received != bytes || echoed != bytes {
            return Err("a transfer changed the bytes".into());
        }
        let checksums = format!("{checksums:?}").to_lowercase();
        println!("{mtu:>6} {checksums:>10} {up:>8.0} {down:>8.0} {echo:>8.0}");
    }
    Ok(())
}
