//! The quote of the day, RFC 865, over TCP and UDP: who connects is sent a quote and closed; each
//! datagram is answered with one.
//!
//! ```text
//! cargo run --example qotd -- 127.0.0.1:1717
//! nc 127.0.0.1 1717
//! ```
//!
//! What this program need not care about, for the loop does: a send that takes half of a quote; a
//! peer that takes nothing (closed after [`WITHIN`]); a crowd that connects at once, and keeps nobody
//! waiting; descriptors running out; a peer that sends what nobody wants to read, and whose quote a
//! close would destroy; that peer's slot, given to another while it was written to; the
//! signal that ends it all, and those who are in the middle of a quote then.
//!
//! A service that answers more than it was sent, to whom it cannot know, is of use to attackers:
//! keep its UDP side away from the open internet.

use reactor::handler::{
    Action, CloseReason, Datagram, Handler, OWNER_ALONE, Origin, PeerId, Signal, Slices,
};
use reactor::log_queue::LogQueue;
use reactor::os::mio::{MioOs, Settings};
use reactor::reactor::Reactor;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Under 512 characters each, as the RFC has it.
const QUOTES: [&str; 3] = [
    "Be liberal in what you accept, and conservative in what you send. (RFC 1122)\r\n",
    "It is easier to move a problem around than it is to solve it. (RFC 1925)\r\n",
    "The protocol is simple; what it is made of is not. (anonymous)\r\n",
];

/// For a quote to be taken.
const WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Quotes {
    told: usize,
    /// What each peer is still to be sent.
    owed: BTreeMap<PeerId, &'static [u8]>,
    /// Who has not been offered it yet.
    dirty: VecDeque<PeerId>,
    actions: VecDeque<Action>,
}

impl Quotes {
    fn quote(&mut self) -> &'static [u8] {
        self.told += 1;
        QUOTES[self.told % QUOTES.len()].as_bytes()
    }
}

impl Handler for Quotes {
    fn opened(&mut self, peer: PeerId, _: Origin, _: Instant) {
        let quote = self.quote();
        self.owed.insert(peer, quote);
        self.dirty.push_back(peer);
        self.actions.push_back(Action::Finish { peer, why: CloseReason::Done, within: WITHIN });
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        slices.push(self.owed.get(&peer).unwrap_or(&&[][..]));
    }

    fn sent(&mut self, peer: PeerId, n: usize, _: Instant) {
        self.owed.entry(peer).and_modify(|quote| *quote = &quote[n..]);
    }

    fn closed(&mut self, peer: PeerId, _: CloseReason, _: Instant) {
        self.owed.remove(&peer);
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _: Instant) -> Option<&'a [u8]> {
        Some(self.quote())
    }

    fn signalled(&mut self, signal: Signal, _: Instant) {
        if signal != Signal::Continue {
            self.actions.push_back(Action::Stop { within: Some(WITHIN) });
        }
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.dirty.pop_front()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let at: SocketAddr = std::env::args().nth(1).unwrap_or("127.0.0.1:1717".to_owned()).parse()?;
    let log = LogQueue::new();
    let mut reactor = Reactor::new(MioOs::new(Settings::default())?, log.clone());
    let bound = reactor.listen(&at.into(), OWNER_ALONE)?.ip().ok_or("no address")?;
    reactor.bind_udp(bound, false)?;
    log.say(&format!("listening tcp and udp {bound} quotes"));
    Ok(reactor.run(&mut Quotes::default())?)
}
