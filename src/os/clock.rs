//! The calendar's clock, for what is written down. No decision rests on it: it can jump.

/// Now, UTC, to the second, RFC 3339: `2026-11-22T17:10:58Z`.
pub fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same to the millisecond: `2026-11-22T17:10:58.123Z`.
pub fn utc_now_ms() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Now on the clock of this place, to the second: `18:10:58`. Where no zone is set up, UTC.
pub fn local_time() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_rfc_3339_says() {
        let now = utc_now();
        assert_eq!(now.len(), "2026-11-22T17:10:58Z".len(), "{now}");
        assert!(now.parse::<jiff::Timestamp>().is_ok(), "{now}");
        let now = utc_now_ms();
        assert_eq!(now.len(), "2026-11-22T17:10:58.123Z".len(), "{now}");
        assert!(now.parse::<jiff::Timestamp>().is_ok(), "{now}");
    }

    #[test]
    fn the_local_time_has_hours_minutes_and_seconds() {
        let now = local_time();
        assert!(now.parse::<jiff::civil::Time>().is_ok() && now.len() == 8, "{now}");
    }
}
