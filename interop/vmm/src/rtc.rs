//! The real-time clock of a PC (MC146818), as far as a kernel reads it: the date and time of the host, in UTC, in BCD. It keeps no
//! setting and raises no interrupt. Without it a guest's clock begins in 1970, and its file systems are dated then.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const WEEKDAY: u8 = 0x06;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0A;
const STATUS_B: u8 = 0x0B;
const STATUS_D: u8 = 0x0D;
const CENTURY: u8 = 0x32;
/// The time base of 32,768 Hz; no update is ever in progress.
const STATUS_A_VALUE: u8 = 0x26;
/// 24-hour clock, BCD.
const STATUS_B_VALUE: u8 = 0x02;
/// The battery is good.
const STATUS_D_VALUE: u8 = 0x80;

/// The clock's register file: an index port and a data port.
#[derive(Debug, Default)]
pub struct Rtc {
    index: u8,
}

impl Rtc {
    /// The guest writes the index port.
    pub fn select(&mut self, index: u8) {
        // Bit 7 gates the non-maskable interrupt and is no part of the index.
        self.index = index & 0x7F;
    }

    /// The guest reads the data port.
    pub fn read(&self) -> u8 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        register(self.index, since_epoch.as_secs())
    }
}

/// The value of a register at a number of seconds since 1970.
fn register(index: u8, unix: u64) -> u8 {
    let days = unix / 86_400;
    let (year, month, day) = civil(days);
    match index {
        SECONDS => bcd(unix % 60),
        MINUTES => bcd(unix / 60 % 60),
        HOURS => bcd(unix / 3_600 % 24),
        // Day 0 was a Thursday; Sunday is 1.
        WEEKDAY => bcd((days + 4) % 7 + 1),
        DAY => bcd(day),
        MONTH => bcd(month),
        YEAR => bcd(year % 100),
        CENTURY => bcd(year / 100),
        STATUS_A => STATUS_A_VALUE,
        STATUS_B => STATUS_B_VALUE,
        STATUS_D => STATUS_D_VALUE,
        _ => 0,
    }
}

/// Two decimal digits, one a nibble; `value` is below 100.
fn bcd(value: u64) -> u8 {
    let digit = |value: u64| u8::try_from(value % 10).unwrap_or(0);
    digit(value / 10) << 4 | digit(value)
}

/// Year, month and day of a day counted from 1 January 1970, in the Gregorian calendar.
///
/// Years are counted from 1 March, so that the leap day ends one.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468; // from 1 March of the year 0
    const DAYS_IN_ERA: u64 = 146_097; // 400 years
    let days = days + DAYS_TO_EPOCH;
    let day_of_era = days % DAYS_IN_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (DAYS_IN_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = days / DAYS_IN_ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(59), (1970, 3, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_513), (2026, 3, 1));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }

    #[test]
    fn registers_are_bcd() {
        // Sunday, 22 November 2026, 17:51:09 UTC.
        let unix = 1_795_369_869;
        let read = |index| register(index, unix);
        assert_eq!((read(HOURS), read(MINUTES), read(SECONDS)), (0x17, 0x51, 0x09));
        assert_eq!(
            (read(CENTURY), read(YEAR), read(MONTH), read(DAY)),
            (0x20, 0x26, 0x11, 0x22)
        );
        assert_eq!(read(WEEKDAY), 1);
        assert_eq!(
            read(STATUS_A) & 0x80,
            0,
            "an update in progress would make the guest wait"
        );
    }

    #[test]
    fn the_interrupt_gate_is_no_part_of_the_index() {
        let mut rtc = Rtc::default();
        rtc.select(0x80 | STATUS_D);
        assert_eq!(rtc.read(), STATUS_D_VALUE);
    }
}
