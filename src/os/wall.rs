//! The wall clock, for what is written down and read by people. The loop knows the monotonic one
//! alone (`Os::now`).

use jiff::{Timestamp, Unit};

/// Now: RFC 3339, UTC, whole seconds.
pub fn utc() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_time_is_rfc_3339_and_whole_seconds() {
        let now = super::utc();
        assert!(now.len() == 20 && now.ends_with('Z') && &now[10..11] == "T", "{now}");
    }
}
