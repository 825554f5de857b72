//! Which network the card is plugged into.

use crate::error::{Error, Result, net};
use gateway::{Capture, Link, Runner, tap::Tap};
use netvsc_proto::host::MacAddress;
use std::path::PathBuf;
use std::str::FromStr;

/// A network card as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// Its address.
    pub mac: MacAddress,
    /// The most bytes of a frame after its Ethernet header.
    pub mtu: u32,
    /// Where to record its frames.
    pub pcap: Option<PathBuf>,
}

/// What it is plugged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// A gateway in this process.
    User,
    /// A TAP device of the host's.
    Tap(String),
}

/// `user` or `tap:NAME`.
impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            Some(("tap", name)) if !name.is_empty() => Ok(Self::Tap(name.into())),
            _ => Err("say user, tap:NAME or none".into()),
        }
    }
}

/// Opens the link to the network.
pub(super) fn link(config: &NetConfig, network: &Network) -> Result<Box<dyn Link>> {
    let link: Box<dyn Link> = match network {
        Network::User => {
            let gateway = gateway::Config {
                mtu: usize::try_from(config.mtu).unwrap_or(usize::MAX),
                ..gateway::Config::default()
            };
            Box::new(Runner::new(&gateway).map_err(net("--net user"))?)
        }
        Network::Tap(name) => Box::new(Tap::open(name).map_err(net("--net tap"))?),
    };
    let Some(path) = &config.pcap else {
        return Ok(link);
    };
    let failed = |source| Error::File {
        what: "packet capture",
        path: path.clone(),
        source,
    };
    Ok(Box::new(Capture::create(link, path).map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_names() {
        assert_eq!("user".parse(), Ok(Network::User));
        assert_eq!("tap:tap0".parse(), Ok(Network::Tap("tap0".into())));
        for text in ["", "tap", "tap:", "usr", "user:1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
