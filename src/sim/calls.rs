//! [`Os`] for the simulated system: each call by its name, so that everything the loop can do to
//! the outside stands on one page. No behaviour here but the order in which signals are told.

use super::kernel::{ListenerFd, SIGNALS_FD, SimOs, StreamFd, UdpFd, UnixDgramFd};
use super::trace::Step;
use crate::handler::{Endpoint, Notice, PeerId, Remote, UnixAddress, Window};
use crate::os::held::HeldFile;
use crate::os::{Batch, Caught, Event, File, Os, Raise, Transmit};
use rustix::io::Errno;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// A number for the trace, 1 and up.
pub(super) fn number(caught: Caught) -> usize {
    match caught {
        Caught::Told(signal) => signal as usize + 1,
        Caught::Resized => 5,
        Caught::Raise(raise) => raise as usize + 6,
    }
}

impl Os for SimOs {
    type Listener = ListenerFd;
    type Stream = StreamFd;
    type Udp = UdpFd;
    type UnixDgram = UnixDgramFd;

    fn now(&mut self) -> Instant {
        self.trace.count(Step::Now);
        self.clock()
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.wait(events, timeout);
        Ok(())
    }

    fn listen(&mut self, at: &Endpoint, _mode: u32, index: usize) -> io::Result<ListenerFd> {
        Ok(self.do_listen(at, index)?)
    }

    fn listener_address(&self, listener: &ListenerFd) -> io::Result<Endpoint> {
        let own = self.listeners.iter().find(|own| own.open == Some(listener.0.number));
        Ok(own.ok_or(Errno::BADF)?.address.clone())
    }

    fn close_listener(&mut self, listener: ListenerFd) {
        self.do_close_listener(listener);
    }

    fn accept(
        &mut self,
        listener: &mut ListenerFd,
        peer: PeerId,
    ) -> io::Result<(StreamFd, Remote)> {
        Ok(self.do_accept(listener, peer)?)
    }

    fn connect(
        &mut self,
        to: &Endpoint,
        _from: Option<SocketAddr>,
        peer: PeerId,
    ) -> io::Result<StreamFd> {
        Ok(self.do_connect(to, peer)?)
    }

    fn connected(&mut self, stream: &mut StreamFd) -> io::Result<bool> {
        Ok(self.do_connected(stream)?)
    }

    fn console(&mut self, peer: PeerId) -> io::Result<StreamFd> {
        Ok(self.do_console(peer))
    }

    /// The simulated system has no files: no program of a world writes one.
    fn transcript(&mut self, _: &Path, _: PeerId) -> io::Result<StreamFd> {
        Err(Errno::NOENT.into())
    }

    fn recv(&mut self, stream: &mut StreamFd, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.do_recv(stream, into)?)
    }

    fn reads_in_pieces(&self, stream: &StreamFd) -> bool {
        self.may_stop_short(stream)
    }

    fn send(&mut self, stream: &mut StreamFd, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.do_send(stream, runs)?)
    }

    fn shutdown(&mut self, stream: &mut StreamFd) {
        self.do_shutdown(stream);
    }

    fn close(&mut self, stream: StreamFd) {
        self.do_close(stream);
    }

    fn bind_udp(&mut self, at: SocketAddr, _broadcast: bool, index: usize) -> io::Result<UdpFd> {
        Ok(self.do_bind_udp(at, index)?)
    }

    fn join(&mut self, _udp: &mut UdpFd, _group: IpAddr, _interface: u32) -> io::Result<()> {
        Ok(()) // the outside says what arrives
    }

    fn udp_lost<'a>(&self, udps: impl Iterator<Item = &'a UdpFd>) -> Option<u64> {
        Some(udps.map(|udp| self.udp_full(udp)).sum())
    }

    fn udp_address(&self, udp: &UdpFd) -> io::Result<SocketAddr> {
        Ok(self.udp_bound(udp))
    }

    fn recvfrom(&mut self, udp: &mut UdpFd, batch: &mut Batch) -> io::Result<usize> {
        Ok(self.do_recvfrom(udp, batch)?)
    }

    fn sendto(&mut self, udp: &mut UdpFd, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        Ok(self.do_sendto(udp, transmits)?)
    }

    fn bind_unix(&mut self, _: &UnixAddress, _mode: u32, index: usize) -> io::Result<UnixDgramFd> {
        Ok(self.do_bind_unix(index))
    }

    fn recvfrom_unix(
        &mut self,
        socket: &mut UnixDgramFd,
        into: &mut [u8],
    ) -> io::Result<(usize, UnixAddress)> {
        Ok(self.do_recvfrom_unix(socket, into)?)
    }

    fn sendto_unix(
        &mut self,
        socket: &mut UnixDgramFd,
        to: &UnixAddress,
        bytes: &[u8],
    ) -> io::Result<()> {
        Ok(self.do_sendto_unix(socket, to, bytes)?)
    }

    fn signal(&mut self) -> Option<Caught> {
        let waiting = self.signals.len();
        let signal = (waiting > 0).then(|| {
            let at = self.random.below(waiting);
            self.signals.swap_remove(at)
        });
        self.trace.note(Step::Signal, SIGNALS_FD, Ok(signal.map_or(0, number)));
        signal
    }

    fn take_terminal(&mut self, console: &mut StreamFd) -> io::Result<Window> {
        Ok(self.do_take_terminal(console)?)
    }

    fn return_terminal(&mut self) {
        self.do_return_terminal();
    }

    fn raise(&mut self, raise: Raise) {
        self.do_raise(raise);
    }

    fn read_file(&mut self, _: &Path, _: usize) -> io::Result<File> {
        Err(io::ErrorKind::NotFound.into()) // this world has no files
    }

    fn hold_file(&mut self, _: &Path, _: &[u8]) -> io::Result<HeldFile> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn notify(&mut self, notice: &Notice) -> io::Result<()> {
        Ok(self.do_notify(notice)?)
    }

    fn write_log(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.do_write_log(bytes)?)
    }
}
