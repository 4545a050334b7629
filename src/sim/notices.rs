//! What a server tells its service manager, in simulated time: an idle loop wakes for the watchdog and
//! for nothing else, a crowd is told of once a second, and a manager that is slow or away is told later.

use super::faults::Faults;
use super::kernel::SimOs;
use super::trace::Step;
use crate::handler::{Handler, Notice, OWNER_ALONE, Signal};
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::reactor::Reactor;
use crate::serve::{Managed, Options, Role, Server, listen};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::time::Duration;

impl SimOs {
    /// The service manager takes it, or it does not.
    pub(super) fn do_notify(&mut self, notice: &Notice) -> Result<(), Errno> {
        self.trace.count(Step::Notify);
        (self.manager)(notice)?;
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

    /// The same without the times.
    fn notices(&mut self) -> Vec<Notice> {
        self.told().into_iter().map(|(_, notice)| notice).collect()
    }

    fn signal(&mut self, signal: Signal) {
        let now = self.reactor.os_mut().now();
        self.server.signalled(signal, now);
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
    world.reactor.os_mut().manager = |_| Err(Errno::AGAIN);
    world.run(Duration::from_millis(2_500));
    world.reactor.os_mut().dial_in(0).expect("a listener listens");
    world.run(Duration::from_millis(2_500));
    assert_eq!(world.told(), []);
    world.reactor.os_mut().manager = |_| Ok(());
    world.run(Duration::from_secs(2));
    let told = world.notices();
    assert!(matches!(&told[..], [Notice::Ready(_), ..]), "READY is not lost: {told:?}");
    world.signal(Signal::Terminate);
    while world.reactor.turn(&mut world.server).unwrap() {}
    let told = world.told();
    assert_eq!(told[0].1, Notice::Stopping("stopping: SIGTERM".into()));
    assert!(!told.iter().any(|(_, notice)| matches!(notice, Notice::Status(_))), "{told:?}");
}

#[test]
fn a_manager_that_was_away_is_told_what_it_missed_and_then_as_before() {
    let mut world = World::new(Some(Duration::from_secs(20)));
    world.reactor.os_mut().manager = |_| Err(Errno::CONNREFUSED);
    world.run(Duration::from_secs(25));
    world.reactor.os_mut().manager = |_| Ok(());
    world.run(Duration::from_secs(20));
    let told = world.notices();
    let ready = Notice::Ready("0 peers in 1 room".into());
    assert_eq!(told[0], ready);
    assert!(told.len() > 2 && told[1..].iter().all(|told| *told == Notice::Watchdog), "{told:?}");
}

#[test]
fn a_reload_stops_nobody_whose_manager_is_away() {
    let mut world = World::new(None);
    world.reactor.os_mut().manager = |_| Err(Errno::CONNREFUSED);
    world.run(Duration::from_secs(2));
    world.signal(Signal::Reload);
    world.run(Duration::from_secs(2));
    assert_eq!(world.notices(), []);
    world.reactor.os_mut().manager = |_| Ok(());
    world.run(Duration::from_secs(2));
    let ready = Notice::Ready("0 peers in 1 room".into());
    assert_eq!(world.notices(), [Notice::Reloading, ready]);
}

#[test]
fn the_end_of_a_reload_is_told_behind_its_beginning_alone() {
    let mut world = World::new(None);
    world.run(Duration::from_secs(2));
    world.told();
    world.reactor.os_mut().manager = |notice| match notice {
        Notice::Reloading => Err(Errno::AGAIN),
        _ => Ok(()),
    };
    world.signal(Signal::Reload);
    world.run(Duration::from_millis(500));
    world.reactor.os_mut().manager = |_| Ok(());
    world.run(Duration::from_secs(5));
    let ready = Notice::Ready("0 peers in 1 room".into());
    assert_eq!(world.notices(), [Notice::Reloading, ready]);
}

#[test]
fn nothing_is_told_behind_a_stop() {
    let mut world = World::new(None);
    world.run(Duration::from_secs(2));
    world.told();
    world.signal(Signal::Terminate);
    world.signal(Signal::Reload);
    while world.reactor.turn(&mut world.server).unwrap() {}
    assert_eq!(world.notices(), [Notice::Stopping("stopping: SIGTERM".into())]);
}
