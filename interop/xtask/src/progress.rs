//! What the task is doing, on standard error, in the manner of cargo.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// A step that ran longer than this tells how long it took.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// Says what is being done.
pub(crate) fn say(verb: &str, what: impl std::fmt::Display) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[1;32m{verb:>12}\x1b[0m {what}");
    } else {
        eprintln!("{verb:>12} {what}");
    }
}

/// Says what is being done, does it, and tells how long it took where that was long.
pub(crate) fn step<T>(verb: &str, what: impl std::fmt::Display, work: impl FnOnce() -> T) -> T {
    say(verb, what);
    let start = Instant::now();
    let result = work();
    if start.elapsed() >= WORTH_TELLING {
        say("", format_args!("... {:.1} s", start.elapsed().as_secs_f64()));
    }
    result
}
