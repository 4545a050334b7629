//! The calendar's clock, for what is written down. No decision rests on it: it can jump.

/// Now, UTC, to the second, RFC 3339: `2026-11-22T17:10:58Z`.
pub fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_rfc_3339_says() {
        let now = utc_now();
        assert_eq!(now.len(), "2026-11-22T17:10:58Z".len(), "{now}");
        assert!(now.parse::<jiff::Timestamp>().is_ok(), "{now}");
    }
}
