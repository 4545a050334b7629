//! What takes a minute outside takes none here: who gives way to one that comes.

use super::*;
use crate::handler::{Credentials, Handler, Origin, Remote};
use crate::serve::server::{Role, tests::listening};

fn peer(number: usize) -> PeerId {
    PeerId { serial: number as u64 + 1, slot: number as u32 }
}

fn come(server: &mut Server, number: usize, now: Instant) -> Vec<Action> {
    let from = Remote::Unix(Credentials { pid: 1, uid: 1, gid: 1 });
    server.opened(peer(number), Origin::Accepted { listener: 0, from }, now);
    let wishes = std::iter::from_fn(|| server.next_action(now));
    wishes.filter(|wish| !matches!(wish, Action::Resume(_))).collect()
}

#[test]
fn who_was_silent_longest_gives_way_and_who_spoke_within_a_minute_does_not() {
    let (mut server, start) = (listening(Role::Control, |_| {}), Instant::now());
    for number in 0..CONTROL_PEERS_MAX {
        assert_eq!(come(&mut server, number, start), []);
    }
    let later = start + GIVES_WAY_AFTER;
    for number in (0..CONTROL_PEERS_MAX).filter(|&number| number != 5) {
        server.received(peer(number), b"ping\n", 0, later - Duration::from_secs(1));
    }
    while server.next_action(later).is_some() {}
    let within = LAST_WORDS;
    let idle = Action::Finish { peer: peer(5), why: CloseReason::Idle, within };
    assert_eq!(come(&mut server, 8, later), [idle]);
    assert_eq!(server.control.count(), CONTROL_PEERS_MAX);
    let full = Action::Finish { peer: peer(9), why: CloseReason::Full, within };
    assert_eq!(come(&mut server, 9, later), [full], "all others spoke");
    assert_eq!(server.control.count(), CONTROL_PEERS_MAX);
}
