//! The loop and sockets of the Unix domain.

use super::*;
use crate::handler::{Endpoint, Remote};

fn path(name: &str) -> UnixAddress {
    UnixAddress::Path(name.into())
}

#[test]
fn a_peer_is_told_with_its_listener_and_what_it_is() {
    let mut stage = Stage::new();
    let chat = Endpoint::Unix(path("/chat"));
    assert_eq!(stage.reactor.listen(&chat, OWNER_ALONE).unwrap(), chat);
    for listener in [1, 0] {
        stage.os().dial_in(listener).expect("the backlog is empty");
        stage.turns(2);
        let Some(Origin::Accepted { listener: at, from }) = stage.puppet.origin else {
            panic!("{:?}", stage.puppet.origin);
        };
        assert_eq!((at, matches!(from, Remote::Unix(_))), (listener, listener == 1));
    }
}

/// Each of its reads may end anywhere: behind descriptors that were sent along.
#[test]
fn a_short_read_of_a_unix_socket_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage.reactor.listen(&Endpoint::Unix(path("/chat")), OWNER_ALONE).unwrap();
    let remote = stage.os().dial_in(1).expect("the backlog is empty");
    stage.turns(2);
    let bytes = [b'x'; 40];
    for n in 1..=20 {
        stage.send(remote, &bytes);
        stage.turns(40);
        assert_eq!(stage.puppet.heard.1, n * bytes.len(), "round {n}");
    }
}

#[test]
fn datagrams_of_the_unix_domain_are_answered_within_the_budget_and_none_is_forgotten() {
    let mut stage = Stage::new();
    stage.reactor.bind_unix(&path("/echo"), OWNER_ALONE).unwrap();
    let count = 3 * Budgets::default().datagram_reads;
    for n in 0..count {
        let from = if n % 2 == 0 { path("/client") } else { UnixAddress::Unnamed };
        assert!(stage.os().unix_datagram_in(0, from, &[n as u8]));
    }
    let mut answers = Vec::new();
    while stage.reactor.stats().datagrams_in < count as u64 {
        let before = stage.reactor.stats().datagrams_in;
        stage.turns(1);
        let read = stage.reactor.stats().datagrams_in - before;
        assert!((1..=Budgets::default().datagram_reads as u64).contains(&read), "{read} in a turn");
        answers.extend(stage.os().unix_datagrams_out());
    }
    let expected = (0..count).step_by(2).map(|n| (path("/client"), vec![n as u8]));
    assert_eq!(answers, expected.collect::<Vec<_>>(), "each that has a name, once, in order");
}

#[test]
fn an_answer_that_a_receiver_has_no_room_for_is_dropped_and_counted() {
    let mut stage = Stage::new();
    stage.reactor.bind_unix(&path("/echo"), OWNER_ALONE).unwrap();
    stage.os().faults_mut().pressure = 1_000;
    stage.os().unix_datagram_in(0, path("/client"), b"lost");
    stage.turns(2);
    let stats = stage.reactor.stats();
    assert_eq!((stats.datagrams_in, stats.datagrams_out, stats.datagrams_blocked), (1, 0, 1));
}
