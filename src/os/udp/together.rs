//! Several datagrams in one call, each to a receiver of its own (sendmmsg(2)), where the system has
//! it. What must not be here: trains and sources, which are a datagram's own.

use crate::os::Transmit;
use std::net::SocketAddr;

/// How many of these were sent; none is an error, of the first. `name` says how the socket calls
/// a receiver.
#[cfg(target_os = "linux")]
pub(super) fn send(
    socket: &mio::net::UdpSocket,
    transmits: &[Transmit<'_>],
    name: impl Fn(SocketAddr) -> SocketAddr,
) -> std::io::Result<usize> {
    use crate::os::BATCH_SENDS;
    use rustix::io::retry_on_intr;
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
    use std::array::from_fn;
    use std::io::IoSlice;
    let count = transmits.len();
    // What is unused is the last once more, and is not shown to the kernel.
    let at = |index: usize| &transmits[index.min(count - 1)];
    let names: [_; BATCH_SENDS] = from_fn(|index| name(at(index).to).as_any());
    let bytes: [_; BATCH_SENDS] = from_fn(|index| [IoSlice::new(at(index).bytes)]);
    let mut nothing: [_; BATCH_SENDS] = from_fn(|_| SendAncillaryBuffer::default());
    let mut nothing = nothing.iter_mut();
    let mut headers: [_; BATCH_SENDS] = from_fn(|index| {
        let nothing = nothing.next().expect("there are as many");
        MMsgHdr::new_with_addr(&names[index], &bytes[index], nothing)
    });
    Ok(retry_on_intr(|| sendmmsg(socket, &mut headers[..count], SendFlags::empty()))?)
}
#[cfg(not(target_os = "linux"))]
pub(super) fn send(
    socket: &mio::net::UdpSocket,
    transmits: &[Transmit<'_>],
    name: impl Fn(SocketAddr) -> SocketAddr,
) -> std::io::Result<usize> {
    socket.send_to(transmits[0].bytes, name(transmits[0].to)).map(|_| 1)
}
