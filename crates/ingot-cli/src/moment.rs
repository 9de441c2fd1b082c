//! Times as people write and read them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

/// Reads RFC 3339 (`2026-11-17T12:00:00Z`, an offset, or a space for the `T`), or a date with or
/// without a time of day, meant in `zone`.
pub(crate) fn parse(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let Ok(civil) = text.parse::<DateTime>() else {
        return Err(format!(
            "'{text}' is not a time: write it like 2026-11-17T12:00:00Z, or 2026-11-17 12:00 for \
             local time"
        ));
    };
    let Some(zone) = zone else {
        return Err(format!(
            "the local time zone is not known here: add Z or an offset, like {civil}Z"
        ));
    };
    zone.to_timestamp(civil).map_err(|error| format!("'{text}' is out of range: {error}"))
}

/// A server's time for a table: UTC, to the millisecond. It is rounded up, so that the time shown
/// for a change, given to `--at`, includes that change. What is no time is shown as it came.
pub(crate) fn shown(text: &str) -> String {
    let up = TimestampRound::new().smallest(Unit::Millisecond).mode(RoundMode::Ceil);
    match text.parse::<Timestamp>().and_then(|at| at.round(up)) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn check(text: &str, expected: &str) {
        let at = parse(text, Some(&berlin())).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(at, expected.parse::<Timestamp>().unwrap(), "{text}");
    }

    #[test]
    fn an_offset_is_kept_and_a_local_time_is_local() {
        check("2026-11-17T12:00:00Z", "2026-11-17T12:00:00Z");
        check("2026-11-17T12:00:00+05:00", "2026-11-17T07:00:00Z");
        check("2026-11-17 12:00:00.250Z", "2026-11-17T12:00:00.25Z");
        check("2026-11-17T12:00", "2026-11-17T11:00:00Z");
        check("2026-07-17 12:00:30", "2026-07-17T10:00:30Z");
        check("2026-11-17", "2026-11-16T23:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "tuesday", "12:00", "2026-13-01", "1700000000"] {
            assert!(parse(bad, Some(&berlin())).is_err(), "{bad}");
        }
        assert!(parse("2026-11-17 12:00", None).unwrap_err().contains("time zone"));
        assert!(parse("2026-11-17T12:00Z", None).is_ok());
    }

    #[test]
    fn a_shown_time_read_again_is_the_same_or_just_after() {
        let text = "2026-11-17T12:00:00.123Z";
        assert_eq!(shown(text), "2026-11-17 12:00:00.123Z");
        assert_eq!(parse(&shown(text), None).unwrap(), text.parse::<Timestamp>().unwrap());
        assert_eq!(shown("2026-11-17T12:00:00.999000001Z"), "2026-11-17 12:00:01.000Z");
        assert_eq!(shown("soon"), "soon");
    }
}
