//! The other sources: datagrams, the console, the log, signals.

use super::*;
use crate::handler::Signal;
use crate::os::{Batch, Caught, Raise, Transmit};
use crate::sim::kernel::UdpFd;
use crate::sim::trace::Step;

const LIMIT: usize = 65_507;

fn sender(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 3], port))
}

fn bound(os: &mut SimOs) -> UdpFd {
    let udp = os.bind_udp(any_port(), false, 0).expect("the address is free");
    assert_ne!(os.udp_address(&udp).unwrap().port(), 0);
    poll(os);
    udp
}

#[test]
fn datagrams_come_one_a_read_in_order_and_whole() {
    let mut os = quiet();
    let mut udp = bound(&mut os);
    let hit = Some(any_port().ip());
    for bytes in [&[1; LIMIT][..], b"", b"two"] {
        assert!(os.datagram_in(0, sender(7), hit, bytes));
    }
    assert_eq!(poll(&mut os), [event(Source::Udp(0), BOTH)]);
    let mut batch = Batch::new();
    assert_eq!(os.recvfrom(&mut udp, &mut batch).unwrap(), 3);
    let heads = batch.heads[..3].iter().map(|head| (head.len, head.stride, head.to));
    assert_eq!(heads.collect::<Vec<_>>(), [(LIMIT, LIMIT, hit), (0, 0, hit), (3, 3, hit)]);
    assert_eq!(batch.bytes[2 * crate::os::DATAGRAM_BYTES..][..3], *b"two");
    let error = os.recvfrom(&mut udp, &mut batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(poll(&mut os), []);
}

#[test]
fn datagrams_of_one_sender_coalesce_with_a_stride() {
    let mut os = world(Faults { coalesced: 1_000, ..Faults::none() });
    let mut udp = bound(&mut os);
    for (from, bytes) in [(7, "aaa"), (7, "bbb"), (7, "c"), (7, "ddd"), (8, "eee"), (8, "")] {
        os.datagram_in(0, sender(from), None, bytes.as_bytes());
    }
    let mut batch = Batch::new();
    let reads = os.recvfrom(&mut udp, &mut batch).unwrap();
    let heads = batch.heads[..reads].iter().map(|head| (head.from.port(), head.len, head.stride));
    assert_eq!(heads.collect::<Vec<_>>(), [(7, 7, 3), (7, 3, 3), (8, 3, 3), (8, 0, 0)]);
    assert_eq!(batch.bytes[..7], *b"aaabbbc");
}

#[test]
fn an_error_of_recvfrom_consumes_nothing_and_is_followed_by_no_event() {
    let mut os = world(Faults { refused: 1_000, short_batch: 1_000, ..Faults::none() });
    let mut udp = bound(&mut os);
    os.datagram_in(0, sender(7), None, b"x");
    poll(&mut os);
    let mut batch = Batch::new();
    let error = os.recvfrom(&mut udp, &mut batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(poll(&mut os), []);
    assert!(os.conditions(Source::Udp(0)).unwrap().readable_now);
    os.faults_mut().refused = 0;
    assert_eq!(os.recvfrom(&mut udp, &mut batch).unwrap(), 1);
    os.udp_refused(0);
    assert_eq!(poll(&mut os), [event(Source::Udp(0), WRITABLE.with(ENDED))]);
    let error = os.recvfrom(&mut udp, &mut batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_full_datagram_queue_drops() {
    let mut os = quiet();
    let _udp = bound(&mut os);
    let taken = (0..10).filter(|_| os.datagram_in(0, sender(7), None, &[0; LIMIT])).count();
    assert_eq!(taken, 3);
}

#[test]
fn a_send_is_cut_into_datagrams_and_may_block() {
    let mut os = quiet();
    let mut udp = bound(&mut os);
    let transmit = Transmit { to: sender(7), from: None, bytes: b"abcde", stride: 2 };
    let empty = Transmit { bytes: b"", stride: 0, ..transmit };
    assert_eq!(os.sendto(&mut udp, &[transmit, empty]).unwrap(), 2);
    let sent = os.datagrams_out();
    let bytes: Vec<_> = sent.iter().map(|sent| sent.bytes.as_slice()).collect();
    assert_eq!(bytes, [&b"ab"[..], b"cd", b"e", b""]);
    assert_eq!((sent[0].socket, sent[0].to, sent[0].from), (0, sender(7), None));
    os.faults_mut().pressure = 1_000;
    assert_eq!(os.sendto(&mut udp, &[transmit]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(os.datagrams_out(), []);
    assert_eq!(poll(&mut os), [event(Source::Udp(0), WRITABLE)]);
}

#[test]
fn the_console_reads_what_is_typed_and_ends() {
    let mut os = quiet();
    os.console_type(b"early");
    let mut console = os.console(peer(0)).unwrap();
    assert_eq!(poll(&mut os), [event(source(0), BOTH)]);
    assert_eq!(recv(&mut os, &mut console).unwrap(), b"early");
    assert_eq!(recv(&mut os, &mut console), Err(ErrorKind::WouldBlock));
    os.console_end();
    assert_eq!(poll(&mut os), [event(source(0), READABLE.with(ENDED))], "of stdin alone");
    assert_eq!(recv(&mut os, &mut console).unwrap(), b"");
    os.shutdown(&mut console);
    assert!(os.connected(&mut console).unwrap());
    assert_eq!(send(&mut os, &mut console, b"x"), Ok(1), "a shutdown is nothing to it");
    os.close(console);
    assert_eq!(os.open_descriptors(), 0);
}

#[test]
fn the_screen_fills_and_goes_away() {
    let mut os = quiet();
    os.sink_capacities(9, 9);
    let mut console = os.console(peer(0)).unwrap();
    poll(&mut os);
    assert_eq!(send(&mut os, &mut console, b"twelve bytes"), Ok(9));
    assert_eq!(send(&mut os, &mut console, b"x"), Err(ErrorKind::WouldBlock));
    assert_eq!(os.console_output(100), b"twelve by");
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE)]);
    os.console_gone();
    assert_eq!(poll(&mut os), [event(source(0), WRITABLE.with(ENDED))]);
    assert_eq!(send(&mut os, &mut console, b"x"), Err(ErrorKind::BrokenPipe));
}

#[test]
fn a_console_in_the_background_is_busy_and_no_event_tells_when_not() {
    let mut os = quiet();
    let mut console = os.console(peer(0)).unwrap();
    os.console_background(true);
    os.console_type(b"for another");
    poll(&mut os);
    assert_eq!(recv(&mut os, &mut console), Err(ErrorKind::ResourceBusy));
    os.console_background(false);
    assert_eq!(poll(&mut os), []);
    assert_eq!(recv(&mut os, &mut console).unwrap(), b"for another");
    os.faults_mut().busy = 1_000;
    assert_eq!(recv(&mut os, &mut console), Err(ErrorKind::ResourceBusy));
}

#[test]
fn a_console_of_files_tells_nothing_and_never_blocks() {
    let mut os = world(Faults { pressure: 1_000, ..Faults::none() });
    os.console_files(true, true);
    os.console_type(b"all there is");
    let mut console = os.console(peer(0)).unwrap();
    assert_eq!(poll(&mut os), []);
    assert_eq!(recv(&mut os, &mut console).unwrap(), b"all there is");
    assert_eq!(recv(&mut os, &mut console).unwrap(), b"");
    assert_eq!(send(&mut os, &mut console, &[0; 100_000]), Ok(100_000));
}

#[test]
fn the_log_fills_and_goes_away() {
    let mut os = SimOs::with(1, Faults::none());
    os.sink_capacities(9, 9);
    assert_eq!(poll(&mut os), [event(Source::Log, WRITABLE)]);
    assert_eq!(os.write_log(b"twelve bytes").unwrap(), 9);
    assert_eq!(os.write_log(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(os.log_output(100), b"twelve by");
    assert_eq!(poll(&mut os), [event(Source::Log, WRITABLE)]);
    os.log_gone();
    assert_eq!(poll(&mut os), [event(Source::Log, WRITABLE.with(ENDED))]);
    assert_eq!(os.write_log(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn signals_of_one_kind_are_told_as_one() {
    let mut os = quiet();
    poll(&mut os);
    for signal in [Signal::Interrupt, Signal::Continue, Signal::Interrupt] {
        os.raise(signal);
    }
    assert_eq!(poll(&mut os), [event(Source::Signals, READABLE)]);
    let mut told = [os.signal(), os.signal()];
    told.sort_by_key(|caught| *caught != Some(Caught::Told(Signal::Interrupt)));
    assert_eq!(
        told,
        [Signal::Interrupt, Signal::Continue].map(|signal| Some(Caught::Told(signal)))
    );
    assert_eq!(os.signal(), None);
    assert_eq!(poll(&mut os), []);
}

#[test]
fn a_terminal_is_taken_in_the_foreground_alone_and_given_back_before_a_stop() {
    let mut os = quiet();
    let mut console = os.console(PeerId { serial: 0, slot: 0 }).unwrap();
    os.console_background(true);
    assert_eq!(os.take_terminal(&mut console).unwrap_err().kind(), ErrorKind::ResourceBusy);
    os.console_background(false);
    assert_eq!(os.take_terminal(&mut console).unwrap().rows, 24);
    os.return_terminal();
    Os::raise(&mut os, Raise::Stop);
    assert_eq!(os.signal(), Some(Caught::Told(Signal::Continue)));
}

#[test]
fn calls_and_bytes_are_counted_by_turn() {
    let mut os = quiet();
    let (_listener, mut stream, remote) = connected(&mut os);
    os.remote_send(remote, b"abc");
    deliver_all(&mut os, remote);
    os.trace(true);
    recv(&mut os, &mut stream).unwrap();
    assert_eq!((os.calls_this_turn(Step::Recv), os.amount_this_turn(Step::Recv)), (1, 3));
    assert_eq!(os.read_most_this_turn(), 3);
    assert_eq!(os.trace_lines(), ["turn 2 Recv 3 = 3"]);
    poll(&mut os);
    assert_eq!((os.calls_this_turn(Step::Recv), os.calls(Step::Recv)), (0, 1));
    assert_eq!((os.amount_this_turn(Step::Recv), os.read_most_this_turn()), (0, 0));
}
