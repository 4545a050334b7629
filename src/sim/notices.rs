//! What a server tells its service manager, in simulated time: an idle loop wakes for the watchdog and
//! for nothing else, a crowd is told of once a second, and a manager that is slow is told later.

use super::faults::Faults;
use super::kernel::SimOs;
use super::trace::Step;
use crate::handler::{Handler, Notice, OWNER_ALONE};
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::reactor::Reactor;
use crate::serve::{Managed, Options, Role, Server, listen};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::time::Duration;

impl SimOs {
    /// The service manager takes it, or its queue is full.
    pub(super) fn do_notify(&mut self, notice: &Notice) -> Result<(), Errno> {
        self.trace.count(Step::Notify);
        if self.manager_full {
            return Err(Errno::AGAIN);
        }
        self.notices.push((self.elapsed, notice.clone()));
        Ok(())
    }
}

struct World {
    reactor: Reactor<SimOs>,
    server: Server,
}

impl World {
    fn new(watchdog: Option<Duration>) -> Self {
        let mut options = Options::bare();
        options.service.managed = Some(Managed { watchdog });
        let mut server = Server::new(&options);
        let mut reactor = Reactor::new(SimOs::with(1, Faults::none()), LogQueue::new());
        let at = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        listen(&mut reactor, &mut server, &at, OWNER_ALONE, Role::Chat).unwrap();
        server.started(reactor.os_mut().now());
        World { reactor, server }
    }

    /// Goes round until so much time has passed.
    fn run(&mut self, time: Duration) {
        let end = self.reactor.os_mut().elapsed + time;
        self.reactor.os_mut().nap_max = Some(time);
        while self.reactor.os_mut().elapsed < end {
            assert!(self.reactor.turn(&mut self.server).unwrap());
            if self.reactor.os_mut().idle_forever {
                self.reactor.os_mut().elapsed = end;
            }
        }
        self.reactor.os_mut().nap_max = None;
    }

    fn told(&mut self) -> Vec<(Duration, Notice)> {
        std::mem::take(&mut self.reactor.os_mut().notices)
    }
}

fn status(text: &str) -> Notice {
    Notice::Status(text.to_owned())
}

#[test]
fn an_idle_loop_wakes_for_the_watchdog_twice_as_often_as_it_must() {
    let mut world = World::new(Some(Duration::from_secs(20)));
    world.run(Duration::from_secs(100));
    let turns = world.reactor.stats().turns;
    let told = world.told();
    let alive: Vec<u64> =
        told.iter().filter(|(_, n)| *n == Notice::Watchdog).map(|(at, _)| at.as_secs()).collect();
    assert_eq!(told[0].1, Notice::Ready("0 peers in 1 room".into()));
    assert_eq!(alive, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    assert!(turns < 40, "{turns} turns");
}

#[test]
fn a_turn_that_hangs_tells_nobody_that_it_lives() {
    let mut world = World::new(Some(Duration::from_secs(20)));
    world.run(Duration::from_secs(15));
    world.told();
    world.reactor.os_mut().advance(Duration::from_secs(60)); // in the middle of something
    assert_eq!(world.told(), []);
    world.run(Duration::from_secs(1));
    assert_eq!(world.told().len(), 1, "once, and not for each that was missed");
}

#[test]
fn a_crowd_is_told_of_once_a_second_and_silence_never() {
    let mut world = World::new(None);
    world.run(Duration::from_secs(5));
    assert_eq!(world.told().len(), 1, "READY");
    for _ in 0..50 {
        world.reactor.os_mut().dial_in(0).expect("a listener listens");
        world.run(Duration::from_millis(30));
    }
    world.run(Duration::from_secs(60));
    let told = world.told();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[2].1, status("50 peers in 1 room"));
}

#[test]
fn what_the_managers_queue_has_no_room_for_is_told_when_it_has() {
    let mut world = World::new(Some(Duration::from_secs(20)));
    world.reactor.os_mut().manager_full = true;
    world.run(Duration::from_millis(2_500));
    world.reactor.os_mut().dial_in(0).expect("a listener listens");
    world.run(Duration::from_millis(2_500));
    assert_eq!(world.told(), []);
    world.reactor.os_mut().manager_full = false;
    world.run(Duration::from_secs(2));
    let told: Vec<Notice> = world.told().into_iter().map(|(_, notice)| notice).collect();
    assert!(matches!(&told[..], [Notice::Ready(_), ..]), "READY is not lost: {told:?}");
    world.server.signalled(crate::handler::Signal::Terminate, world.reactor.os_mut().now());
    while world.reactor.turn(&mut world.server).unwrap() {}
    let told = world.told();
    assert_eq!(told[0].1, Notice::Stopping("stopping: SIGTERM".into()));
    assert!(!told.iter().any(|(_, notice)| matches!(notice, Notice::Status(_))), "{told:?}");
}
