//! Which fault comes when: all of it follows from a seed.

use fastrand::Rng;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use storvsc_proto::host::Attention;

/// Faults as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultsConfig {
    /// What the schedule follows from.
    pub seed: u64,
    /// For how long faults begin.
    pub span: Duration,
}

impl FaultsConfig {
    /// In so long a time there is every kind of fault, whatever the seed.
    pub const EVERY_KIND: Duration = Duration::from_secs(60);
    /// The longest time.
    const LONGEST: u64 = 86_400;
}

/// `SEED` or `SEED,SECONDS`.
impl FromStr for FaultsConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (seed, seconds) = match text.split_once(',') {
            Some((seed, seconds)) => (seed, seconds.parse().ok()),
            None => (text, Some(Self::EVERY_KIND.as_secs())),
        };
        match (seed.parse(), seconds) {
            (Ok(seed), Some(seconds @ 1..=Self::LONGEST)) => Ok(Self {
                seed,
                span: Duration::from_secs(seconds),
            }),
            _ => Err(format!(
                "say SEED or SEED,SECONDS: two numbers, the second from 1 to {}",
                Self::LONGEST
            )),
        }
    }
}

/// What a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The disks of the first SCSI controller, which the guest cannot do without.
    Root,
    /// The second SCSI controller and its disks.
    Data,
    /// The network card.
    Card,
}

impl Target {
    /// All.
    pub const ALL: [Self; 3] = [Self::Root, Self::Data, Self::Card];

    /// What can happen to it.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Root => &[Kind::Delay],
            Self::Data => &[
                Kind::Delay,
                Kind::Busy,
                Kind::WriteErrors,
                Kind::ReadErrors,
                Kind::Attention,
                Kind::Stall,
                Kind::TakeAway,
            ],
            Self::Card => &[Kind::LinkDown, Kind::Stall, Kind::TakeAway],
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "root disk",
            Self::Data => "data disk",
            Self::Card => "card",
        })
    }
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Every request is answered late.
    Delay,
    /// Commands are answered with BUSY.
    Busy,
    /// Writes fail: MEDIUM ERROR, WRITE ERROR.
    WriteErrors,
    /// Long reads fail: MEDIUM ERROR, UNRECOVERED READ ERROR.
    ReadErrors,
    /// A command is told UNIT ATTENTION instead of being run.
    Attention,
    /// The channels are not served.
    Stall,
    /// The device is taken off the bus, and offered again.
    TakeAway,
    /// The cable is pulled.
    LinkDown,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Each request of this time is answered so much later.
    Delay {
        /// How much later.
        each: Duration,
        /// The time.
        span: Duration,
    },
    /// So many commands are answered with BUSY.
    Busy(u32),
    /// So many writes fail.
    WriteErrors(u32),
    /// So many long reads fail.
    ReadErrors(u32),
    /// A command is told this.
    Attention(Attention),
    /// The channels are not served for so long, and for some time more while no ring is full.
    Stall(Duration),
    /// The device is away for so long.
    TakeAway(Duration),
    /// The cable is pulled for so long.
    LinkDown(Duration),
}

impl Fault {
    /// Fewer than the times that Linux tries a failed write again (`SD_MAX_RETRIES`, 5): one command may get them all.
    const MOST_ERRORS: u32 = 3;
    const ATTENTIONS: [Attention; 4] = [
        Attention::PowerOn,
        Attention::CapacityChanged,
        Attention::ConditionsChanged,
        Attention::InquiryChanged,
    ];
    /// What it takes beside the time for which a disk is away: the guest lets go of it first.
    const LETTING_GO: Duration = Duration::from_secs(6);

    fn draw(kind: Kind, rng: &mut Rng) -> Self {
        let mut millis = |from, to| Duration::from_millis(rng.u64(from..to));
        match kind {
            Kind::Delay => Self::Delay {
                each: millis(5, 300),
                span: millis(1000, 4000),
            },
            Kind::Stall => Self::Stall(millis(1000, 4000)),
            Kind::TakeAway => Self::TakeAway(millis(1000, 4000)),
            Kind::LinkDown => Self::LinkDown(millis(1000, 5000)),
            Kind::Busy => Self::Busy(rng.u32(1..20)),
            Kind::WriteErrors => Self::WriteErrors(rng.u32(1..=Self::MOST_ERRORS)),
            Kind::ReadErrors => Self::ReadErrors(rng.u32(1..=Self::MOST_ERRORS)),
            Kind::Attention => {
                let [first, ..] = Self::ATTENTIONS;
                Self::Attention(rng.choice(Self::ATTENTIONS).unwrap_or(first))
            }
        }
    }

    /// Of which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Delay { .. } => Kind::Delay,
            Self::Busy(_) => Kind::Busy,
            Self::WriteErrors(_) => Kind::WriteErrors,
            Self::ReadErrors(_) => Kind::ReadErrors,
            Self::Attention(_) => Kind::Attention,
            Self::Stall(_) => Kind::Stall,
            Self::TakeAway(_) => Kind::TakeAway,
            Self::LinkDown(_) => Kind::LinkDown,
        }
    }

    /// For how long nothing else is to happen to the device.
    fn lasting(&self) -> Duration {
        match self {
            Self::Delay { span, .. } | Self::Stall(span) | Self::LinkDown(span) => *span,
            Self::TakeAway(span) => span.saturating_add(Self::LETTING_GO),
            Self::Busy(_) | Self::WriteErrors(_) | Self::ReadErrors(_) | Self::Attention(_) => Duration::ZERO,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay { each, span } => {
                write!(
                    f,
                    "answers {} ms late for {:.1} s",
                    each.as_millis(),
                    span.as_secs_f32()
                )
            }
            Self::Busy(1) => write!(f, "a command finds it busy"),
            Self::Busy(commands) => write!(f, "{commands} commands find it busy"),
            Self::WriteErrors(1) => write!(f, "a write fails: medium error"),
            Self::WriteErrors(commands) => write!(f, "{commands} writes fail: medium error"),
            Self::ReadErrors(1) => write!(f, "a long read fails: medium error"),
            Self::ReadErrors(commands) => write!(f, "{commands} long reads fail: medium error"),
            Self::Attention(attention) => write!(f, "unit attention: {attention:?}"),
            Self::Stall(span) => write!(
                f,
                "not served for {:.1} s, and then until its ring is full",
                span.as_secs_f32()
            ),
            Self::TakeAway(span) => write!(
                f,
                "off the bus for {:.1} s, then offered again",
                span.as_secs_f32()
            ),
            Self::LinkDown(span) => write!(f, "cable pulled for {:.1} s", span.as_secs_f32()),
        }
    }
}

/// A fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it begins, or as soon after that as the device's fault before it has ended.
    pub at: Duration,
    /// What it happens to.
    pub target: Target,
    /// What happens.
    pub fault: Fault,
}

/// Every fault of a run, by their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Entry>);

impl Schedule {
    /// The pause before a fault, in milliseconds.
    const PAUSE: std::ops::Range<u64> = 1000..4000;

    /// The schedule that follows from this seed. A device's faults come in rounds of all its kinds, each in another order.
    pub fn new(config: FaultsConfig) -> Self {
        let mut entries = Vec::new();
        let mut seeds = Rng::with_seed(config.seed);
        for target in Target::ALL {
            let mut rng = seeds.fork();
            let mut round = Vec::new();
            let mut time = Duration::ZERO;
            loop {
                if round.is_empty() {
                    round.extend(target.kinds());
                    rng.shuffle(&mut round);
                }
                let at = time.saturating_add(Duration::from_millis(rng.u64(Self::PAUSE)));
                let Some(fault) = round.pop().map(|kind| Fault::draw(kind, &mut rng)) else {
                    break;
                };
                time = at.saturating_add(fault.lasting());
                if time > config.span {
                    break;
                }
                entries.push(Entry { at, target, fault });
            }
        }
        entries.sort_by_key(|entry| (entry.at, entry.target));
        Self(entries)
    }

    /// The faults.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>8}  {:<9}  fault", "time", "device")?;
        for Entry { at, target, fault } in &self.0 {
            writeln!(f, "{:>6.1} s  {target:<9}  {fault}", at.as_secs_f32())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn schedule(seed: u64) -> Schedule {
        Schedule::new(FaultsConfig {
            seed,
            span: FaultsConfig::EVERY_KIND,
        })
    }

    #[test]
    fn a_seed_gives_one_schedule_and_another_seed_another() {
        assert_eq!(schedule(7), schedule(7));
        assert_eq!(schedule(7).to_string(), schedule(7).to_string());
        assert_ne!(schedule(7), schedule(8));
    }

    /// A schedule that somebody wrote down in a report of a failure has to be there again.
    #[test]
    fn a_schedule_stays_what_it_is() {
        let text = schedule(1).to_string();
        let first: Vec<_> = text.lines().take(3).collect();
        assert_eq!(
            first,
            [
                "    time  device     fault",
                "   2.2 s  root disk  answers 177 ms late for 1.4 s",
                "   3.5 s  data disk  a write fails: medium error",
            ]
        );
    }

    #[test]
    fn every_kind_comes_whatever_the_seed() {
        let all: BTreeSet<_> = Target::ALL
            .into_iter()
            .flat_map(|target| target.kinds().iter().map(move |kind| (target, *kind)))
            .collect();
        for seed in (0..2000).chain([u64::MAX]) {
            let found: BTreeSet<_> = schedule(seed)
                .entries()
                .iter()
                .map(|entry| (entry.target, entry.fault.kind()))
                .collect();
            assert_eq!(found, all, "seed {seed}");
        }
    }

    #[test]
    fn a_devices_faults_come_one_after_the_other_and_end_in_time() {
        for seed in 0..200 {
            let schedule = schedule(seed);
            for target in Target::ALL {
                let mut free = Duration::ZERO;
                for entry in schedule.entries().iter().filter(|entry| entry.target == target) {
                    assert!(entry.at > free, "seed {seed}: {entry:?}");
                    free = entry.at + entry.fault.lasting();
                }
                assert!(free <= FaultsConfig::EVERY_KIND, "seed {seed}");
            }
        }
    }

    #[test]
    fn faults_are_asked_for_by_a_seed_and_a_time() {
        let config = |seed, seconds| {
            Ok(FaultsConfig {
                seed,
                span: Duration::from_secs(seconds),
            })
        };
        assert_eq!("7".parse(), config(7, 60));
        assert_eq!("7,5".parse(), config(7, 5));
        for text in ["", "x", "7,", "7,0", "7,x", "-1", "7,86401"] {
            assert!(text.parse::<FaultsConfig>().is_err(), "{text}");
        }
    }
}
