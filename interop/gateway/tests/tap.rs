//! A TAP interface in a network namespace of its own, with the host's own stack and busybox at its end.
//!
//! The tests run themselves again inside `unshare`. They need `unshare`, `ip`, `busybox` and `/dev/net/tun`; where
//! something is missing they say so, and fail if `CI=true`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use gateway::services::Pattern;
use gateway::tap::OpenError;
use gateway::{Config, Delivery, FrameSink, Link, Runner, Tap, TransmitError};

/// Set in the environment of a test that runs in its namespace.
const INSIDE: &str = "GATEWAY_TEST_IN_NAMESPACE";

/// Whether this is the run inside a network namespace; outside it starts that run and looks at its result.
fn inside_namespace(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare: &[&str] = if rustix::process::geteuid().is_root() {
        &["-n"]
    } else {
        &["-r", "-n"]
    };
    if let Some(missing) = missing(unshare) {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "{missing}");
        eprintln!("{test} is skipped: {missing}");
        return false;
    }
    let status = Command::new("unshare")
        .args(unshare)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "yes")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its namespace: {status}");
    false
}

/// What this machine lacks for these tests.
fn missing(unshare: &[&str]) -> Option<String> {
    let runs = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    for (program, arguments, package) in [
        ("ip", &["-V"][..], "iproute2"),
        ("busybox", &["true"], "busybox-static"),
    ] {
        if !runs(program, arguments) {
            return Some(format!("no program {program}: install the package {package}"));
        }
    }
    if !runs("unshare", &[unshare, &["true"]].concat()) {
        return Some(
            "`unshare -n` makes no network namespace here: root or user namespaces are needed".into(),
        );
    }
    (!Path::new("/dev/net/tun").exists()).then(|| "no /dev/net/tun: `modprobe tun`".into())
}

fn sh(script: &str) -> String {
    let output = Command::new("sh")
        .args(["-e", "-c", script])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Puts frames from one link onto another.
struct Forward(Arc<dyn Link>);

impl FrameSink for Forward {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        match self.0.transmit(frame) {
            Err(TransmitError::Full) => Delivery::Full,
            _ => Delivery::Taken,
        }
    }
}

/// A gateway at the far end of a TAP interface.
fn gateway_behind_tap(config: &Config) -> (Arc<Tap>, Arc<Runner>) {
    let tap = Arc::new(Tap::open("gwtest%d").unwrap());
    let runner = Arc::new(Runner::new(config).unwrap());
    tap.start(Arc::new(Forward(runner.clone()))).unwrap();
    runner.start(Arc::new(Forward(tap.clone()))).unwrap();
    (tap, runner)
}

#[test]
fn a_busybox_guest_finds_everything() {
    if !inside_namespace("a_busybox_guest_finds_everything") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut bytes = vec![0; 4 << 20];
    Pattern::new(42).fill(&mut bytes);
    fs::write(path("file"), &bytes).unwrap();
    let sum = sh(&format!("busybox sha256sum {} | cut -d' ' -f1", path("file")));
    let summary = format!("{} {sum}", bytes.len());

    let mut config = Config {
        mtu: 1400,
        ..Config::default()
    };
    config.dhcp.as_mut().unwrap().dns = vec!["9.9.9.9".parse().unwrap()];
    let (tap, runner) = gateway_behind_tap(&config);
    let name = tap.name();

    let mut script = fs::File::create(path("script")).unwrap();
    writeln!(
        script,
        "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\n\
         ip link set $interface mtu $mtu\n\
         ip addr add $ip/$mask dev $interface\n\
         echo lease $ip/$mask $router $mtu $dns $lease $serverid"
    )
    .unwrap();
    script.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
    drop(script);
    let udhcpc = format!(
        "ip link set lo up; ip link set {name} up; busybox udhcpc -i {name} -n -q -f -O mtu -s {}",
        path("script")
    );
    let lease = sh(&udhcpc);
    assert!(
        lease.contains("lease 10.0.2.15/24 10.0.2.2 1400 9.9.9.9 86400 10.0.2.2\n"),
        "{lease}"
    );

    sh("busybox ping -c 3 -i 0.01 10.0.2.2");
    sh("busybox ping -c 1 -s 9000 10.0.2.2");

    // The documented ways to use the services.
    assert_eq!(sh(&format!("busybox nc 10.0.2.2 9 <{}", path("file"))), summary);
    assert_eq!(
        sh("echo 4194304 42 | busybox nc 10.0.2.2 19 | busybox sha256sum | cut -d' ' -f1"),
        sum
    );
    assert_eq!(sh("echo 4194304 42 | busybox nc 10.0.2.2 20"), summary);
    sh(&format!(
        "busybox nc 10.0.2.2 7 <{file} | busybox cmp - {file}",
        file = path("file")
    ));
    // And with an end of input that comes late, or never.
    assert_eq!(
        sh("(echo 5 1; sleep 0.2) | busybox nc 10.0.2.2 20 | cut -d' ' -f1"),
        "5\n"
    );
    assert_eq!(
        sh("echo 1 2 3 | busybox nc 10.0.2.2 20"),
        "error: more than LEN SEED\n"
    );
    let refused = Command::new("sh")
        .args(["-c", "echo nonsense | busybox nc 10.0.2.2 19"])
        .output()
        .unwrap();
    // busybox ends with status 0 also after a reset: what tells is that nothing came.
    assert_eq!(refused.stdout, b"");

    // Eight at once, and then once more, so that every slot came free.
    for _ in 0..2 {
        let counts = sh("for i in 1 2 3 4 5 6 7 8; do \
               echo 1000000 $i | busybox nc 10.0.2.2 19 | busybox wc -c & done; wait");
        assert_eq!(counts, "1000000\n".repeat(8));
    }

    // What the last clients left on the way arrives before the first of these, and is counted before the second.
    sh("busybox ping -c 2 -i 0.01 10.0.2.2");
    let statistics = runner.gateway_statistics();
    assert_eq!(
        (statistics.dhcp.acks, statistics.tcp.aborted, statistics.tcp.open),
        (1, 1, 0),
        "{statistics:?}"
    );
    runner.shutdown();
    tap.shutdown();
    assert_eq!(
        tap.statistics().received.frames,
        runner.statistics().transmitted.frames
    );
    assert_eq!(runner.statistics().received.dropped, 0);
}

/// Tells that the link changed.
struct Changes(mpsc::Sender<bool>);

impl FrameSink for Changes {
    fn deliver(&self, _: &[u8]) -> Delivery {
        Delivery::Taken
    }

    fn link_changed(&self, up: bool) {
        let _ = self.0.send(up);
    }
}

#[test]
fn an_interface_comes_and_goes() {
    if !inside_namespace("an_interface_comes_and_goes") {
        return;
    }
    let tap = Tap::open("gwtest0").unwrap();
    assert_eq!(tap.name(), "gwtest0");
    assert!(matches!(Tap::open("gwtest0"), Err(OpenError::Busy(_))));
    assert!(matches!(Tap::open("lo"), Err(OpenError::NotTap(_))));
    let frame = [0xff; 60];
    assert_eq!(tap.transmit(&frame), Err(TransmitError::Down), "not started");
    let (sender, changes) = mpsc::channel();
    tap.start(Arc::new(Changes(sender))).unwrap();
    assert_eq!(tap.transmit(&frame), Err(TransmitError::Down), "not set up");
    sh("ip link set gwtest0 up");
    assert_eq!(tap.transmit(&frame), Ok(()));
    assert_eq!(
        tap.transmit(&[0; 13]),
        Err(TransmitError::Length {
            len: 13,
            min: 14,
            max: 65_553
        })
    );
    assert!(tap.is_up());
    sh("ip link del gwtest0");
    assert_eq!(changes.recv(), Ok(false));
    assert!(!tap.is_up());
    assert_eq!(tap.transmit(&frame), Err(TransmitError::Down));

    let again = Tap::open("gwtest0").unwrap();
    drop(again);
    assert!(!sh("ip -o link").contains("gwtest"), "it goes with its value");
}

#[test]
fn names_that_cannot_be_are_refused() {
    let long = "a-name-of-16-byt";
    let error = Tap::open(long).err().unwrap();
    assert!(
        matches!(&error, OpenError::NameTooLong { max: 15, .. }),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "the interface name \"a-name-of-16-byt\" is longer than 15 bytes"
    );
    for name in ["", "a b", "a/b", "a\0b"] {
        assert!(matches!(Tap::open(name), Err(OpenError::Name(_))), "{name:?}");
    }
}
