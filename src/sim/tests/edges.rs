//! What epoll tells: transitions, once, with all that is true by then.

use super::*;
use crate::handler::OWNER_ALONE;

#[test]
fn registration_tells_what_is_ready_already() {
    let mut os = quiet();
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let remote = os.dial_in(0).unwrap();
    os.remote_send(remote, b"early");
    deliver_all(&mut os, remote);
    poll(&mut os);
    os.accept(&mut listener, peer(0)).unwrap();
    assert_eq!(poll(&mut os), [event(source(0), BOTH)]);
    assert_eq!(poll(&mut os), [], "and tells it once");
}

#[test]
fn an_edge_comes_with_new_bytes_only() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.remote_send(remote, b"one");
    deliver_all(&mut os, remote);
    assert_eq!(poll(&mut os), [event(source(0), BOTH)]);
    let mut byte = [0];
    assert_eq!(os.recv(&mut stream, &mut byte).unwrap(), 1);
    assert_eq!(poll(&mut os), [], "what a partial read left is not announced again");
    os.remote_send(remote, b"two");
    deliver_all(&mut os, remote);
    assert_eq!(poll(&mut os), [event(source(0), BOTH)]);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"netwo", "recv gives all there is");
    assert_eq!(recv(&mut os, &mut stream), Err(ErrorKind::WouldBlock));
}

#[test]
fn two_edges_before_a_poll_are_one_event() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    for _ in 0..2 {
        os.remote_send(remote, b"x");
        deliver_all(&mut os, remote);
    }
    os.remote_shutdown(remote);
    deliver_all(&mut os, remote);
    assert_eq!(poll(&mut os), [event(source(0), BOTH.with(ENDED))], "data and FIN in one event");
    assert_eq!(poll(&mut os), []);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"xx");
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"");
}

#[test]
fn a_fin_joined_arrives_with_the_last_bytes_or_by_itself() {
    for (fin_joined, steps) in [(1_000, vec![2]), (0, vec![1, 1])] {
        let mut os = world(Faults { fin_joined, ..Faults::none() });
        let (_listener, _stream, remote) = connected(&mut os);
        os.remote_send(remote, b"x");
        os.remote_shutdown(remote);
        assert!(os.deliverable(remote));
        let arrivals: Vec<_> = std::iter::repeat_with(|| os.deliver(remote)).take(2).collect();
        assert_eq!(arrivals.into_iter().filter(|&n| n > 0).collect::<Vec<_>>(), steps);
        assert!(!os.deliverable(remote));
    }
}

#[test]
fn the_writable_edge_comes_after_full_only() {
    let mut os = world(Faults { capacity_max: 300, ..Faults::none() });
    let (_listener, mut stream, remote) = connected(&mut os);
    send(&mut os, &mut stream, b"x").unwrap();
    os.remote_recv(remote, 1);
    assert_eq!(poll(&mut os), [], "there was room all the time");
    let taken = 1 + fill(&mut os, &mut stream);
    assert!(!os.conditions(source(0)).unwrap().writable_now);
    os.remote_recv(remote, 1);
    assert_eq!(poll(&mut os), [], "less than a third is free");
    assert_eq!(send(&mut os, &mut stream, b"xy"), Ok(1), "though a send would take something");
    os.remote_recv(remote, taken);
    assert!(os.conditions(source(0)).unwrap().event_queued);
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)]);
    os.remote_recv(remote, taken);
    assert_eq!(poll(&mut os), []);
}

#[test]
fn an_event_that_says_not_writable_owes_the_edge_too() {
    let mut os = world(Faults { capacity_max: 1, ..Faults::none() });
    let (_listener, mut stream, remote) = connected(&mut os);
    assert_eq!(send(&mut os, &mut stream, b"x"), Ok(1), "all of it: full, and nobody was told");
    os.remote_send(remote, b"y");
    deliver_all(&mut os, remote);
    assert_eq!(poll(&mut os), [event(source(0), READABLE)]);
    os.remote_recv(remote, 1);
    assert_eq!(poll(&mut os), [event(source(0), BOTH)]);
}

#[test]
fn a_short_send_means_a_full_queue() {
    let mut os = world(Faults { squeeze: 1_000, ..Faults::none() });
    let (_listener, mut stream, remote) = connected(&mut os);
    let n = send(&mut os, &mut stream, &[7; 100]).unwrap();
    assert!((1..=16).contains(&n), "{n}");
    os.calm();
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::WouldBlock));
    assert_eq!(os.remote_unread(remote), n);
    assert_eq!(os.remote_recv(remote, 100), [7; 16][..n]);
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)]);
    assert_eq!(send(&mut os, &mut stream, &[7; 100]), Ok(100), "the squeeze is over");
}

#[test]
fn pressure_refuses_a_send_and_an_edge_follows() {
    let mut os = world(Faults { pressure: 1_000, ..Faults::none() });
    let (_listener, mut stream, _) = connected(&mut os);
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::WouldBlock));
    assert!(!os.conditions(source(0)).unwrap().writable_now);
    os.faults_mut().pressure = 0;
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)]);
    assert_eq!(send(&mut os, &mut stream, b"x"), Ok(1));
}

#[test]
fn a_listener_tells_arrivals_and_nothing_else() {
    let mut os = quiet();
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    os.dial_in(0).unwrap();
    os.dial_in(0).unwrap();
    assert_eq!(poll(&mut os), [event(Source::Listener(0), READABLE)]);
    os.accept(&mut listener, peer(0)).unwrap();
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)], "one still waits, silently");
    assert!(os.conditions(Source::Listener(0)).unwrap().readable_now);
}

#[test]
fn a_listener_out_of_descriptors_is_silent_until_the_next_arrival() {
    let mut os = world(Faults { descriptors_max: 1, ..Faults::none() });
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let empty = os.accept(&mut listener, peer(0)).unwrap_err();
    assert_eq!(empty.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()), "even then");
    os.dial_in(0).unwrap();
    assert_eq!(poll(&mut os).len(), 1);
    assert!(os.accept(&mut listener, peer(0)).is_err());
    os.faults_mut().descriptors_max = 9;
    assert_eq!(poll(&mut os), [], "nobody tells that descriptors are free again");
    os.dial_in(0).unwrap();
    assert_eq!(poll(&mut os), [event(Source::Listener(0), READABLE)]);
    assert!(os.accept(&mut listener, peer(0)).is_ok());
}

#[test]
fn what_did_not_fit_comes_next_even_if_closed_by_then() {
    let mut os = quiet();
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let mut streams = Vec::new();
    for slot in 0..3 {
        os.dial_in(0).unwrap();
        streams.push(os.accept(&mut listener, peer(slot)).unwrap().0);
    }
    assert_eq!(poll_few(&mut os, 2), [event(source(0), WRITABLE), event(source(1), WRITABLE)]);
    os.close(streams.pop().unwrap());
    assert_eq!(poll(&mut os), [event(source(2), WRITABLE)], "a stale token, as registered");
    assert_eq!(poll(&mut os), []);
}

#[test]
fn a_close_takes_its_edge_along() {
    let mut os = quiet();
    let (_listener, stream, remote) = connected(&mut os);
    os.remote_send(remote, b"x");
    deliver_all(&mut os, remote);
    os.close(stream);
    assert_eq!(poll(&mut os), []);
}

#[test]
fn faulty_batches_lose_nothing() {
    let faults = Faults { split: 1_000, reordered: 1_000, interrupted: 300, ..Faults::none() };
    let mut os = world(faults);
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let mut streams = Vec::new();
    for slot in 0..20 {
        os.dial_in(0).unwrap();
        streams.push(os.accept(&mut listener, peer(slot)).unwrap().0);
    }
    let batches: Vec<_> = (0..60).map(|_| poll(&mut os)).collect();
    let mut slots: Vec<_> = batches.concat().iter().map(|event| event.source).collect();
    assert!(batches.iter().filter(|batch| !batch.is_empty()).count() > 1);
    let in_order: Vec<_> = (0..20).map(source).collect();
    assert_ne!(slots, in_order);
    slots.sort_by_key(|&source| in_order.iter().position(|&other| other == source));
    assert_eq!(slots, in_order);
}

#[test]
fn hints_that_are_held_back_come_later() {
    let mut os = world(Faults { hints_late: 1_000, ..Faults::none() });
    let (_listener, _stream, remote) = connected(&mut os);
    for _ in 0..20 {
        poll(&mut os);
        os.remote_send(remote, b"x");
        deliver_all(&mut os, remote);
        let (first, second) = (poll(&mut os), poll(&mut os));
        assert_ne!(first[0].hints, BOTH);
        assert_eq!(Hints(first[0].hints.0 | second[0].hints.0), BOTH);
    }
}

#[test]
fn events_out_of_nothing_name_the_living_and_the_dead() {
    let mut os = world(Faults { spurious: 500, stale: 500, ..Faults::none() });
    let (_listener, stream, _) = connected(&mut os);
    os.close(stream);
    let told: Vec<_> = (0..50).flat_map(|_| poll(&mut os)).map(|event| event.source).collect();
    assert!(told.contains(&source(0)) && told.contains(&Source::Listener(0)), "{told:?}");
}

#[test]
fn time_moves_when_nothing_is_ready_and_no_earlier() {
    let mut os = quiet();
    let start = os.now();
    let mut events = Vec::with_capacity(1);
    os.raise(crate::handler::Signal::Hangup);
    os.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
    assert_eq!((events.len(), os.now() - start), (1, Duration::ZERO));
    os.signal();
    os.poll(&mut events, Some(Duration::from_micros(1_001))).unwrap();
    assert_eq!(os.now() - start, Duration::from_millis(2), "rounded up as mio does");
    assert!(!os.idle_forever());
    os.poll(&mut events, None).unwrap();
    assert!(os.idle_forever() && os.last_timeout().is_none());
    os.doze(Some(Duration::from_millis(10)));
    os.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
    assert_eq!(os.now() - start, Duration::from_millis(12));
    assert_eq!(os.last_timeout(), Some(Duration::from_secs(5)));
    os.advance(Duration::from_secs(1));
    assert_eq!(os.clock() - start, Duration::from_millis(1_012));
    assert_eq!(os.turns(), 5, "with the first one");
}

#[test]
fn the_clock_steps_by_fault() {
    let mut os = world(Faults { clock_step: 1_000, ..Faults::none() });
    let start = os.now();
    poll(&mut os);
    assert!(os.now() > start);
}
