//! Who comes in, who is asked, who is refused, and that nobody is counted twice.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn peer(slot: u32) -> PeerId {
    PeerId { serial: u64::from(slot) + 1, slot }
}

fn gate(flags: &str) -> Gate {
    let rules = access::parse(flags.as_bytes()).unwrap_or_default();
    Gate::new(&Admission { access: Access::new(rules).unwrap(), ..Admission::default() })
}

fn asking() -> Gate {
    let mut gate = gate("");
    gate.set_secret(Secret::of_text(b"sesame").unwrap());
    gate
}

#[test]
fn who_is_banned_or_denied_does_not_come_in_even_as_a_mapped_address() {
    let (mut gate, now) = (gate("allow 192.0.2.0/24"), Instant::now());
    gate.bans.add("192.0.2.7", None, now).unwrap();
    for (slot, (from, entry)) in [
        ("192.0.2.1", Entry::In),
        ("::ffff:192.0.2.2", Entry::In),
        ("192.0.2.7", Entry::Refused(CloseReason::Banned)),
        ("::ffff:192.0.2.7", Entry::Refused(CloseReason::Banned)),
        ("192.0.3.1", Entry::Refused(CloseReason::Denied)),
        ("::1", Entry::Refused(CloseReason::Denied)),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(gate.knock(peer(slot as u32), ip(from), now), entry, "{from}");
    }
    assert_eq!((gate.connections(), gate.sources.peers()), (6, 2));
}

#[test]
fn a_datagram_is_heard_by_the_same_rules() {
    let (mut gate, now) = (gate("deny 192.0.2.0/24"), Instant::now());
    gate.bans.add("10.0.0.1", None, now).unwrap();
    assert!(gate.hears(ip("192.0.3.1"), now));
    for from in ["192.0.2.1", "::ffff:192.0.2.1", "10.0.0.1"] {
        assert!(!gate.hears(ip(from), now), "{from}");
    }
    assert_eq!(gate.datagrams_refused, 3);
}

#[test]
fn the_rules_of_a_file_join_those_of_the_flags_and_go_with_the_next_ones() {
    let (mut gate, now) = (gate("allow 10.0.0.0/8"), Instant::now());
    let admits = |gate: &Gate, from| gate.admits(ip(from), now).is_ok();
    assert_eq!(gate.set_rules(b"allow 192.0.2.0/24\ndeny 10.1.0.0/16"), Ok((3, 0)));
    assert!(admits(&gate, "10.0.0.1") && admits(&gate, "192.0.2.1"));
    assert!(!admits(&gate, "10.1.0.1"));
    assert_eq!(gate.set_rules(b"allow 192.0.3.0/24"), Ok((2, 0)));
    assert!(admits(&gate, "10.1.0.1") && admits(&gate, "192.0.3.1"));
    assert!(!admits(&gate, "192.0.2.1"));
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let (mut gate, now) = (gate(""), Instant::now());
    gate.set_rules(b"deny 192.0.2.0/24").unwrap();
    for text in [&b"deny 192.0.3.0/24\nnonsense"[..], b"", &b"deny 10.0.0.1\n".repeat(1_001)] {
        gate.set_rules(text).unwrap_err();
        assert!(gate.admits(ip("192.0.2.1"), now).is_err());
        assert!(gate.admits(ip("192.0.3.1"), now).is_ok());
    }
}

#[test]
fn who_is_inside_stays_and_is_counted_when_the_rules_change() {
    let (mut gate, now) = (gate(""), Instant::now());
    for (slot, from) in ["192.0.2.1", "192.0.2.2", "10.0.0.1"].into_iter().enumerate() {
        assert_eq!(gate.knock(peer(slot as u32), ip(from), now), Entry::In);
    }
    assert_eq!(gate.set_rules(b"deny 192.0.2.0/24"), Ok((1, 2)));
    assert_eq!((gate.connections(), gate.is_refused(peer(0))), (3, false));
    let again = gate.knock(peer(3), ip("192.0.2.1"), now);
    assert_eq!(again, Entry::Refused(CloseReason::Denied));
    assert_eq!(gate.set_rules(b"deny 192.0.2.0/24"), Ok((1, 2)), "who is refused is not inside");
}

#[test]
fn of_many_refused_only_so_many_are_told_why() {
    let (mut gate, now) = (gate("deny all"), Instant::now());
    let mut knock = |slot| gate.knock(peer(slot), ip("192.0.2.1"), now);
    for slot in 0..REFUSED_MAX as u32 {
        assert_eq!(knock(slot), Entry::Refused(CloseReason::Denied));
    }
    assert_eq!(knock(90), Entry::Shut(CloseReason::Denied));
    gate.gone(peer(90), now);
    gate.gone(peer(0), now);
    let told = gate.knock(peer(0), ip("192.0.2.1"), now);
    assert_eq!(told, Entry::Refused(CloseReason::Denied));
    (0..REFUSED_MAX as u32).for_each(|slot| gate.gone(peer(slot), now));
    assert_eq!(gate.connections(), 0);
}

#[test]
fn the_secret_lets_in_within_three_tries() {
    let (mut gate, now) = (asking(), Instant::now());
    assert_eq!(gate.knock(peer(0), ip("::1"), now), Entry::Secret);
    assert!(gate.is_outside(peer(0)));
    assert_eq!(gate.hear(peer(0), b"open"), Heard::Wrong(2));
    assert_eq!(gate.hear(peer(0), b""), Heard::Wrong(1));
    assert_eq!(gate.hear(peer(0), b"sesame"), Heard::Right);
    assert!(!gate.is_outside(peer(0)) && !gate.is_refused(peer(0)));
    assert_eq!(gate.next_deadline(), None, "its time does not go on");
}

#[test]
fn the_third_wrong_try_is_the_last() {
    let (mut gate, now) = (asking(), Instant::now());
    gate.knock(peer(0), ip("::1"), now);
    for heard in [Heard::Wrong(2), Heard::Wrong(1), Heard::Refused, Heard::Refused] {
        assert_eq!(gate.hear(peer(0), b"open"), heard);
    }
    assert_eq!(gate.hear(peer(0), b"sesame"), Heard::Refused, "even if it knows it now");
    assert!(gate.is_refused(peer(0)));
    assert_eq!(gate.next_deadline(), None);
}

#[test]
fn the_secret_must_come_in_time() {
    let (mut gate, now) = (asking(), Instant::now());
    gate.knock(peer(0), ip("::1"), now);
    let due = now + SECRET_WITHIN;
    assert_eq!(gate.next_deadline(), Some(due));
    assert_eq!(gate.expire(due - Duration::from_millis(1)), None);
    assert_eq!(gate.expire(due), Some(peer(0)));
    assert_eq!(gate.hear(peer(0), b"sesame"), Heard::Refused);
}

#[test]
fn who_is_still_to_say_the_secret_counts_as_a_peer_until_it_is_closed() {
    let (mut gate, now) = (asking(), Instant::now());
    gate.crowd.peers_max = 1;
    gate.knock(peer(0), ip("::1"), now);
    let full = Entry::Refused(CloseReason::Full);
    assert_eq!(gate.knock(peer(1), ip("::1"), now), full);
    gate.expire(now + SECRET_WITHIN);
    assert_eq!(gate.knock(peer(2), ip("::1"), now), full, "it has its descriptor still");
    gate.gone(peer(0), now);
    assert_eq!(gate.knock(peer(3), ip("::1"), now), Entry::Secret);
}

#[test]
fn whoever_leaves_at_any_stage_leaves_nothing_behind() {
    let (mut gate, now) = (asking(), Instant::now());
    gate.crowd.peers_max = 3;
    for slot in 0..4 {
        gate.knock(peer(slot), ip("192.0.2.1"), now);
    }
    gate.hear(peer(1), b"sesame");
    gate.turn_away(peer(2));
    assert_eq!(gate.connections(), 4);
    for slot in [0, 1, 2, 3, 3] {
        gate.gone(peer(slot), now);
    }
    assert_eq!((gate.connections(), gate.next_deadline()), (0, None));
}
