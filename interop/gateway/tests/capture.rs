//! What a capture leaves in its file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};

use gateway::{Capture, Config, Delivery, FrameSink, Link, Runner, StartError, Statistics, TransmitError};
use pcap_file::pcap::PcapReader;
use pcap_file::{DataLink, PcapError};

/// A link whose other end is the test.
#[derive(Default)]
struct Plug {
    sink: Mutex<Option<Arc<dyn FrameSink>>>,
}

impl Link for Plug {
    fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
        *self.sink.lock().unwrap() = Some(sink);
        Ok(())
    }

    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        if frame.len() > 1000 {
            Err(TransmitError::Full)
        } else {
            Ok(())
        }
    }

    fn resume(&self) {}

    fn is_up(&self) -> bool {
        true
    }

    fn shutdown(&self) {}

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

impl Plug {
    fn sink(&self) -> Arc<dyn FrameSink> {
        Arc::clone(self.sink.lock().unwrap().as_ref().unwrap())
    }
}

struct Channel(mpsc::Sender<Vec<u8>>);

impl FrameSink for Channel {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        let _ = self.0.send(frame.to_vec());
        Delivery::Taken
    }
}

/// Refuses every other frame.
#[derive(Default)]
struct Moody(Mutex<bool>);

impl FrameSink for Moody {
    fn deliver(&self, _: &[u8]) -> Delivery {
        let mut refused = self.0.lock().unwrap();
        *refused = !*refused;
        if *refused { Delivery::Full } else { Delivery::Taken }
    }
}

fn frames(file: &[u8]) -> Result<Vec<Vec<u8>>, PcapError> {
    let mut reader = PcapReader::new(file)?;
    assert_eq!(reader.header().datalink, DataLink::ETHERNET);
    let mut frames = Vec::new();
    let mut last = None;
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        assert_eq!(packet.orig_len as usize, packet.data.len());
        assert!(Some(packet.timestamp) >= last.or(Some(packet.timestamp)));
        last = Some(packet.timestamp);
        frames.push(packet.data.into_owned());
    }
    Ok(frames)
}

#[test]
fn question_and_answer_stand_in_order_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nic.pcap");
    let link = Capture::create(Runner::new(&Config::default()).unwrap(), &path).unwrap();
    assert_eq!(
        frames(&fs::read(&path).unwrap()).unwrap(),
        Vec::<Vec<u8>>::new(),
        "the header is there at once"
    );
    let (sender, answers) = mpsc::channel();
    link.start(Arc::new(Channel(sender))).unwrap();
    let mut expected = Vec::new();
    for host in 20..30 {
        let mut request = vec![0xff; 6];
        request.extend([2, 0, 0, 0, 1, host, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend([2, 0, 0, 0, 1, host, 10, 0, 2, host, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
        link.transmit(&request).unwrap();
        let answer = answers.recv().unwrap();
        expected.extend([request, answer]);
        // Nothing was closed or flushed: this is what a killed process leaves.
        assert_eq!(frames(&fs::read(&path).unwrap()).unwrap(), expected);
    }
}

#[test]
fn a_frame_is_recorded_once_and_a_dropped_one_too() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let link = Capture::create(Plug::default(), path.path()).unwrap();
    link.start(Arc::new(Moody::default())).unwrap();
    let sink = link.link().sink();
    for frame in [[1; 14], [2; 14], [3; 14]] {
        while sink.deliver(&frame) == Delivery::Full {}
    }
    assert_eq!(link.transmit(&[4; 2000]), Err(TransmitError::Full));
    let expected = [vec![1; 14], vec![2; 14], vec![3; 14], vec![4; 2000]];
    assert_eq!(frames(&fs::read(path.path()).unwrap()).unwrap(), expected);
}

#[test]
fn an_existing_file_is_continued_where_it_stands() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut file = OpenOptions::new().write(true).open(path.path()).unwrap();
    file.write_all(b"prefix").unwrap();
    let link = Capture::new(Plug::default(), file).unwrap();
    link.transmit(&[7; 14]).unwrap();
    let file = fs::read(path.path()).unwrap();
    assert_eq!(
        frames(file.strip_prefix(b"prefix").unwrap()).unwrap(),
        [vec![7; 14]]
    );
}

/// The network goes on when the file cannot be written any more.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_capture_alone() {
    // The header fits in no byte of it either.
    assert!(Capture::create(Plug::default(), "/dev/full".as_ref()).is_err());
    // A pipe whose reader is gone takes the header, and then no more.
    let (reader, writer) = std::io::pipe().unwrap();
    let link = Capture::new(Plug::default(), File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
    assert!(link.is_recording());
    drop(reader);
    for _ in 0..2 {
        assert_eq!(link.transmit(&[1; 14]), Ok(()));
        assert!(!link.is_recording());
    }
}
