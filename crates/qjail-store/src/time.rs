//! Time as text: RFC 3339 in UTC, and the stamp of qjail's log and archives.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// Seconds since 1970 in UTC, now. 0 when the clock stands before 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// `seconds` since 1970 as RFC 3339 in UTC: `2026-11-23T20:51:07Z`.
#[must_use]
pub fn format_time(seconds: u64) -> String {
    let t = Civil::of(seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

/// `seconds` since 1970 as qjail stamps its log and archives, `202611232051.07`, in UTC.
#[must_use]
pub fn stamp(seconds: u64) -> String {
    let t = Civil::of(seconds);
    format!(
        "{:04}{:02}{:02}{:02}{:02}.{:02}",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

/// The time of the day of `seconds`, `20:51:07`, in UTC.
pub(crate) fn clock(seconds: u64) -> String {
    let t = Civil::of(seconds);
    format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second)
}

/// The seconds since 1970 of what [`format_time`] wrote; none for any other text.
#[must_use]
pub fn parse_time(text: &str) -> Option<u64> {
    let digits = |range: std::ops::Range<usize>| -> Option<u64> {
        let part = text.get(range)?;
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    let t = Civil {
        year: digits(0..4)?,
        month: digits(5..7)?,
        day: digits(8..10)?,
        hour: digits(11..13)?,
        minute: digits(14..16)?,
        second: digits(17..19)?,
    };
    let seconds = t.seconds()?;
    (format_time(seconds) == text).then_some(seconds)
}

/// A date and time of day of the proleptic Gregorian calendar.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// Years are counted from March, so that the leap day is the last of its year; 400 years are 146,097 days.
    fn of(seconds: u64) -> Self {
        let (days, second_of_day) = (seconds / DAY + 719_468, seconds % DAY);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: second_of_day / 3_600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    /// None before 1970 or for a month that does not exist; other impossible dates give some other date.
    fn seconds(&self) -> Option<u64> {
        if self.year < 1970 || !(1..=12).contains(&self.month) || self.day == 0 {
            return None;
        }
        let year = self.year - u64::from(self.month <= 2);
        let march_month = if self.month > 2 {
            self.month - 3
        } else {
            self.month + 9
        };
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
        Some((days - 719_468) * DAY + self.hour * 3_600 + self.minute * 60 + self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        // date -u -d @N +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_795_467_067, "2026-11-23T20:51:07Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(format_time(seconds), text);
            assert_eq!(parse_time(text), Some(seconds));
        }
        assert_eq!(stamp(1_795_467_067), "202611232051.07");
        assert_eq!(clock(1_795_467_067), "20:51:07");
    }

    #[test]
    fn other_texts_are_no_times() {
        for bad in [
            "",
            "now",
            "1969-12-31T23:59:59Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:é",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(seconds in 0..253_402_300_799_u64) {
            prop_assert_eq!(parse_time(&format_time(seconds)), Some(seconds));
        }

        #[test]
        fn order_is_kept(a in 0..253_402_300_799_u64, b in 0..253_402_300_799_u64) {
            prop_assert_eq!(format_time(a).cmp(&format_time(b)), a.cmp(&b));
        }
    }
}
