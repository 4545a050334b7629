//! How connections begin and end: accept, dial, FIN, RST, close, and who is told what.

use super::*;
use crate::handler::OWNER_ALONE;
use rustix::io::Errno;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The errno of a recv that failed.
fn recv_errno(os: &mut SimOs, stream: &mut StreamFd) -> Option<Errno> {
    let error = os.recv(stream, &mut [0; 64]).err()?;
    error.raw_os_error().map(Errno::from_raw_os_error)
}

#[test]
fn the_lowest_descriptor_is_used_first() {
    let mut os = quiet();
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let mut streams = Vec::new();
    for slot in 0..3 {
        os.dial_in(0).unwrap();
        streams.push(os.accept(&mut listener, peer(slot)).unwrap().0);
    }
    assert_eq!(os.open_descriptors(), 4);
    let freed = streams.remove(1);
    let number = freed.0.number;
    os.close(freed);
    assert_eq!(os.open_descriptors(), 3);
    os.dial_in(0).unwrap();
    let (stream, _) = os.accept(&mut listener, peer(7)).unwrap();
    assert_eq!(stream.0.number, number);
}

#[test]
fn a_call_on_a_closed_descriptor_panics_even_if_the_number_lives() {
    let mut os = quiet();
    let (mut listener, stream, _) = connected(&mut os);
    let fd = super::super::kernel::Fd { number: stream.0.number, birth: stream.0.birth };
    let mut forged = StreamFd(fd);
    os.close(stream);
    os.dial_in(0).unwrap();
    os.accept(&mut listener, peer(1)).unwrap();
    let call = AssertUnwindSafe(|| os.recv(&mut forged, &mut [0; 8]).is_ok());
    let message = *catch_unwind(call).unwrap_err().downcast::<String>().unwrap();
    assert_eq!(message, "Recv on descriptor 3, which is closed");
}

#[test]
fn two_open_descriptors_never_share_a_token() {
    let mut os = quiet();
    let (mut listener, _stream, _) = connected(&mut os);
    os.dial_in(0).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| os.accept(&mut listener, peer(0)).is_ok())).is_err());
}

#[test]
fn remote_ends_and_sources_know_each_other() {
    let mut os = quiet();
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    assert_ne!(os.listener_address(&listener).unwrap().ip().unwrap().port(), 0);
    let remote = os.dial_in(0).unwrap();
    assert_eq!(os.source_of(remote), None, "nobody has accepted it");
    let (stream, _) = os.accept(&mut listener, peer(5)).unwrap();
    assert_eq!(os.source_of(remote), Some(source(5)));
    assert_eq!(os.remote_of(source(5)), Some(remote));
    assert_eq!(os.remote_of(Source::Listener(0)), None);
    os.close(stream);
    assert_eq!((os.source_of(remote), os.remote_of(source(5))), (None, None));
}

#[test]
fn accept_fails_by_connection_or_for_a_while() {
    let mut os = world(Faults { aborted: 1_000, ..Faults::none() });
    let mut listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let lost = os.dial_in(0).unwrap();
    assert!(os.accept(&mut listener, peer(0)).is_err());
    assert!(os.remote_was_cut(lost));
    let error = os.accept(&mut listener, peer(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "that one is gone");

    for (no_descriptor, no_memory) in [(1_000, 0), (0, 1_000)] {
        *os.faults_mut() = Faults { no_descriptor, no_memory, ..Faults::none() };
        let waiting = os.dial_in(0).unwrap();
        assert!(os.accept(&mut listener, peer(0)).is_err());
        assert!(os.connect(&any_port().into(), None, peer(0)).is_err());
        os.calm();
        let (stream, _) = os.accept(&mut listener, peer(0)).unwrap();
        assert_eq!(os.remote_of(source(0)), Some(waiting), "the backlog kept it");
        os.close(stream);
    }
}

#[test]
fn a_closed_listener_resets_who_waits_and_hears_nobody() {
    let mut os = quiet();
    let listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let waiting = os.dial_in(0).unwrap();
    os.close_listener(listener);
    assert!(os.remote_saw_reset(waiting));
    assert_eq!(os.dial_in(0), None);
    assert_eq!(os.open_descriptors(), 0);
}

#[test]
fn a_full_backlog_hears_nobody() {
    let mut os = quiet();
    let _listener = os.listen(&any_port().into(), OWNER_ALONE, 0).unwrap();
    let heard = (0..1_000).filter_map(|_| os.dial_in(0)).count();
    assert_eq!(heard, 64);
}

#[test]
fn a_dial_is_under_way_until_answered() {
    let mut os = quiet();
    let mut stream = os.connect(&any_port().into(), None, peer(0)).unwrap();
    let (remote, to) = os.next_dialed().unwrap();
    assert_eq!((to, os.next_dialed()), (any_port().into(), None));
    assert_eq!(poll(&mut os), []);
    assert!(!os.connected(&mut stream).unwrap());
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::WouldBlock));
    assert_eq!(recv(&mut os, &mut stream), Err(ErrorKind::WouldBlock));
    os.answer_dial(remote, true);
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)]);
    assert!(os.connected(&mut stream).unwrap());
    assert_eq!(send(&mut os, &mut stream, b"x"), Ok(1));
}

#[test]
fn a_refused_dial_tells_its_error_once() {
    let mut os = quiet();
    let mut stream = os.connect(&any_port().into(), None, peer(0)).unwrap();
    let (remote, _) = os.next_dialed().unwrap();
    os.answer_dial(remote, false);
    assert_eq!(poll(&mut os), [event(source(0), BOTH.with(ENDED))]);
    assert_eq!(os.connected(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!os.connected(&mut stream).unwrap());
    assert!(os.remote_was_cut(remote));
}

#[test]
fn a_reset_lets_what_arrived_be_read_then_fails_once_then_ends() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.remote_send(remote, b"last");
    deliver_all(&mut os, remote);
    os.remote_send(remote, b"on the wire");
    os.remote_reset(remote);
    assert_eq!(poll(&mut os), [event(source(0), BOTH.with(ENDED))]);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"last");
    assert_eq!(recv_errno(&mut os, &mut stream), Some(Errno::CONNRESET));
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"");
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::BrokenPipe));
    assert!(os.remote_was_cut(remote) && !os.remote_saw_reset(remote));
}

#[test]
fn a_fin_hides_the_reset_that_follows_it_from_recv() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.remote_shutdown(remote);
    deliver_all(&mut os, remote);
    os.remote_reset(remote);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"");
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::BrokenPipe));
}

#[test]
fn a_reset_by_fault_hits_a_call() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.faults_mut().reset = 1_000;
    assert_eq!(recv_errno(&mut os, &mut stream), Some(Errno::CONNRESET));
    assert!(os.remote_was_cut(remote));
    assert_eq!(poll(&mut os), [event(source(0), BOTH.with(ENDED))], "and is announced");
}

#[test]
fn an_end_that_was_told_is_nothing_new() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.remote_shutdown(remote);
    deliver_all(&mut os, remote);
    assert!(os.conditions(source(0)).unwrap().readable_now);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"");
    assert!(!os.conditions(source(0)).unwrap().readable_now);
    assert_eq!(os.remote_send(remote, b"x"), 0, "nothing follows a FIN");
}

#[test]
fn after_our_shutdown_the_socket_is_writable_for_ever() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    send(&mut os, &mut stream, b"bye").unwrap();
    os.shutdown(&mut stream);
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)]);
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::BrokenPipe));
    assert!(!os.remote_saw_fin(remote), "the bytes come first");
    assert_eq!(os.remote_recv(remote, 64), b"bye");
    assert!(os.remote_saw_fin(remote));
    os.remote_send(remote, b"still heard");
    deliver_all(&mut os, remote);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"still heard");
}

#[test]
fn a_close_still_sends_what_it_owes() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    send(&mut os, &mut stream, b"bye").unwrap();
    os.close(stream);
    assert_eq!(os.remote_recv(remote, 64), b"bye");
    assert!(os.remote_saw_fin(remote) && !os.remote_saw_reset(remote));
}

#[test]
fn a_close_with_unread_input_resets_and_may_destroy() {
    for (reset_destroys, lost) in [(0, false), (1_000, true)] {
        let mut os = world(Faults { reset_destroys, ..Faults::none() });
        let (_listener, mut stream, remote) = connected(&mut os);
        send(&mut os, &mut stream, &[7; 1_000]).unwrap();
        os.remote_send(remote, b"unread");
        deliver_all(&mut os, remote);
        os.close(stream);
        assert_eq!(os.remote_recv(remote, 2_000).len() < 1_000, lost);
        assert!(os.remote_saw_reset(remote) && !os.remote_saw_fin(remote));
    }
}

#[test]
fn input_after_the_close_is_answered_by_a_reset() {
    let mut os = quiet();
    let (_listener, stream, remote) = connected(&mut os);
    os.close(stream);
    assert!(os.remote_saw_fin(remote));
    os.remote_send(remote, b"too late");
    deliver_all(&mut os, remote);
    assert!(os.remote_saw_reset(remote));
}

#[test]
fn a_remote_end_that_closed_answers_a_send_by_a_reset() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.remote_close(remote);
    deliver_all(&mut os, remote);
    assert_eq!(recv(&mut os, &mut stream).unwrap(), b"");
    assert_eq!(send(&mut os, &mut stream, b"x"), Ok(1), "the first one is taken");
    assert_eq!(send(&mut os, &mut stream, b"x"), Err(ErrorKind::BrokenPipe));
}

#[test]
fn a_remote_end_that_closes_with_unread_input_resets() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    send(&mut os, &mut stream, b"x").unwrap();
    os.remote_close(remote);
    assert_eq!(recv_errno(&mut os, &mut stream), Some(Errno::CONNRESET));
}
