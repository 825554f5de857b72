//! A record of everything that goes through a link.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, PcapError, TsResolution};

use crate::link::{Delivery, FrameSink, Link, StartError, Statistics, TransmitError};
use crate::worker::lock;

/// The longest part of a frame that is recorded: all of any frame.
const SNAP_LEN: u32 = 1 << 18;

/// A [`Link`] that writes every frame of another one to a file in pcap format, both ways, with nanosecond timestamps,
/// for Wireshark and tcpdump to read.
///
/// What the NIC transmits is recorded before the network sees it, and what the network sends before the NIC does, so that
/// an answer never stands before its question. A frame that is dropped on its way is recorded too.
///
/// Each frame is written whole, with one system call: the file is readable at any moment, also after this process has been
/// killed. When writing fails (a full disk) recording ends, which is logged once, and the network goes on.
///
/// ```no_run
/// use gateway::{Capture, Config, Runner};
///
/// let link = Capture::create(Runner::new(&Config::default())?, "nic.pcap".as_ref())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Capture<L> {
    link: L,
    record: Arc<Record>,
}

struct Record(Mutex<Option<Output>>);

struct Output {
    file: File,
    writer: PcapWriter<Staging>,
    staging: Staging,
}

/// What the pcap writer has written and the file has not: one record, to be written in one piece.
#[derive(Clone, Debug, Default)]
struct Staging(Arc<Mutex<Vec<u8>>>);

impl Write for Staging {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<L: Link> Capture<L> {
    /// Records what goes through `link` in a new file; a file that is there is overwritten.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub fn create(link: L, path: &Path) -> io::Result<Self> {
        Self::new(link, File::create(path)?)
    }

    /// Records what goes through `link` in an open file, from its current position on.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn new(link: L, mut file: File) -> io::Result<Self> {
        let header = PcapHeader {
            snaplen: SNAP_LEN,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let staging = Staging::default();
        let writer = PcapWriter::with_header(staging.clone(), header).map_err(into_io)?;
        staging.write_to(&mut file)?;
        let output = Output {
            file,
            writer,
            staging,
        };
        Ok(Self {
            link,
            record: Arc::new(Record(Mutex::new(Some(output)))),
        })
    }

    /// Whether frames are still recorded; false after an error.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        lock(&self.record.0).is_some()
    }

    /// The link that is recorded.
    pub fn link(&self) -> &L {
        &self.link
    }
}

impl Staging {
    fn write_to(&self, file: &mut File) -> io::Result<()> {
        let mut staged = lock(&self.0);
        let result = file.write_all(&staged);
        staged.clear();
        result
    }
}

impl Record {
    fn frame(&self, frame: &[u8]) {
        // The order of the records is that of the lock, and the time is taken under it.
        let mut output = lock(&self.0);
        let Some(open) = &mut *output else { return };
        if let Err(error) = open.write(frame) {
            tracing::error!(%error, "the capture ends here");
            *output = None;
        }
    }
}

impl Output {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let kept = frame.get(..SNAP_LEN as usize).unwrap_or(frame);
        self.writer
            .write_packet(&PcapPacket::new(time, len, kept))
            .map_err(into_io)?;
        self.staging.write_to(&mut self.file)
    }
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl<L: Link> Link for Capture<L> {
    fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
        let record = Arc::clone(&self.record);
        self.link.start(Arc::new(Tee {
            sink,
            record,
            again: AtomicBool::new(false),
        }))
    }

    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        self.record.frame(frame);
        self.link.transmit(frame)
    }

    fn resume(&self) {
        self.link.resume();
    }

    fn is_up(&self) -> bool {
        self.link.is_up()
    }

    fn shutdown(&self) {
        self.link.shutdown();
    }

    fn statistics(&self) -> Statistics {
        self.link.statistics()
    }
}

struct Tee {
    sink: Arc<dyn FrameSink>,
    record: Arc<Record>,
    /// The next frame is the last one once more, for which the sink had no room.
    again: AtomicBool,
}

impl FrameSink for Tee {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        if !self.again.load(Ordering::Relaxed) {
            self.record.frame(frame);
        }
        let delivery = self.sink.deliver(frame);
        self.again.store(delivery == Delivery::Full, Ordering::Relaxed);
        delivery
    }

    fn flush(&self) {
        self.sink.flush();
    }

    fn link_changed(&self, up: bool) {
        self.sink.link_changed(up);
    }
}
