//! What the client knows of its place in a chat, from looking on at what goes up and what comes
//! down: its name, its room, round-trip times, and whether it was shown the door. Pure. The words
//! are the server's own (`chat::words`), the answers those of docs/PROTOCOL.md; with a server that
//! is no chat it learns nothing and does no harm.

use crate::chat::names;
use crate::chat::words::{self, Order, Parsed, Speaker};
use crate::visible::visible;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Pings whose answer has not come. Who types more than that at once is not timed for the first.
const PINGS_MAX: usize = 16;

/// How often the round-trip time is asked for where somebody looks at it: it costs the server one
/// line of 16 bytes.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// The words that the client asks with by itself begin so. A number follows.
const OWN_WORD: &str = "reactor-rtt-";

/// What a line of the server is for who looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// To be shown as it is.
    Line,
    /// The answer to a ping that was typed: to be shown with the time that it took.
    Pong(Duration),
    /// The answer to a ping of the client's own: not to be shown.
    OwnPong,
}

/// A place in a chat, which outlives a connection.
#[derive(Default)]
pub(super) struct Session {
    /// The name that was asked for last, and by what name the server calls us where we chose it.
    asked: Option<String>,
    name: Option<String>,
    room: Option<String>,
    /// This connection began with `* you are`.
    greeted: bool,
    begun: bool,
    quit: bool,
    /// The last line said that we are not wanted.
    shut_out: bool,
    rtt: Option<Duration>,
    pings: VecDeque<Ping>,
    /// Counts the client's own pings.
    asks: u64,
    /// When the next one is due; none where nobody looks, or before the greeting.
    ask_at: Option<Instant>,
    asks_by_itself: bool,
}

struct Ping {
    word: String,
    at: Instant,
    own: bool,
}

impl Session {
    /// `name` is asked for at once. `asks_by_itself`: somebody looks at the round-trip time.
    pub(super) fn new(name: Option<String>, asks_by_itself: bool) -> Self {
        Session { asked: name.clone(), name, asks_by_itself, ..Session::default() }
    }

    /// What a new connection begins with: a line for the name, one for the room.
    pub(super) fn greeting(&self) -> String {
        let name = self.name.iter().map(|name| format!("/nick {name}\n"));
        name.chain(self.room.iter().map(|room| format!("/join {room}\n"))).collect()
    }

    /// The link is lost: name and room stay.
    pub(super) fn lost(&mut self) {
        self.greeted = false;
        self.begun = false;
        self.pings.clear();
        self.ask_at = None;
        self.rtt = None;
    }

    /// True where the server's end is not to be answered by a new connection: we said `/quit`, or it
    /// was the last that the server had to say.
    pub(super) fn is_over(&self) -> bool {
        self.quit || self.shut_out
    }

    /// A whole line of ours on its way up.
    pub(super) fn said(&mut self, line: &[u8], now: Instant) {
        let Some(line) = line.first().filter(|&&byte| byte == b'/').map(|_| line) else { return };
        match words::parse(&String::from_utf8_lossy(line), Speaker::Peer) {
            Parsed::Order(Order::Nick(name)) => self.asked = Some(name.written().to_owned()),
            Parsed::Order(Order::Quit(_)) => self.quit = true,
            Parsed::Order(Order::Ping(word)) => {
                let word = visible(word.unwrap_or("")).into_owned();
                self.ask(Ping { word, at: now, own: false });
            }
            _ => {}
        }
    }

    /// A whole line of the server.
    pub(super) fn heard(&mut self, line: &[u8], now: Instant) -> Heard {
        let first = !std::mem::replace(&mut self.begun, true);
        self.shut_out = false;
        let Some(notice) = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix("* "))
        else {
            return Heard::Line;
        };
        if let Some(place) = notice.strip_prefix("you are in #") {
            let end = place.find([',', ' ']).unwrap_or(place.len());
            self.room = Some(format!("#{}", &place[..end]));
        } else if let Some(name) = notice.strip_prefix("you are ") {
            self.called(name, first, now);
        } else if let Some(word) = notice.strip_prefix("pong") {
            return self.answered(word.strip_prefix(": ").unwrap_or(word), now);
        } else if notice == "banned" || notice == "kicked" || notice.starts_with("kicked: ") {
            self.shut_out = true;
        }
        Heard::Line
    }

    /// When a ping of the client's own is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_at
    }

    /// A ping of the client's own, where one is due: a line, which [`Session::asked`] must follow
    /// when it has gone on its way.
    pub(super) fn own_ping(&mut self, now: Instant) -> Option<String> {
        self.ask_at.filter(|&at| at <= now)?;
        self.ask_at = Some(now + ASK_EVERY);
        if self.pings.iter().any(|ping| ping.own) {
            return None; // the last one is not answered yet
        }
        Some(format!("/ping {OWN_WORD}{}\n", self.asks))
    }

    /// What `own_ping` gave is on its way.
    pub(super) fn asked(&mut self, now: Instant) {
        let word = format!("{OWN_WORD}{}", self.asks);
        self.asks += 1;
        self.ask(Ping { word, at: now, own: true });
    }

    /// The last round-trip time that was measured on this link.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    fn called(&mut self, name: &str, first: bool, now: Instant) {
        if first {
            self.greeted = true;
            self.ask_at = self.asks_by_itself.then_some(now);
        }
        // A peer that is muted is told `* you are muted`; so is one that asked to be called so.
        let asked = self.asked.as_ref().is_some_and(|asked| asked.eq_ignore_ascii_case(name));
        if self.greeted && (name != "muted" || asked) && names::check(name).is_ok() {
            self.name = Some(name.to_owned());
        }
    }

    fn ask(&mut self, ping: Ping) {
        if self.pings.len() == PINGS_MAX {
            self.pings.pop_front();
        }
        self.pings.push_back(ping);
    }

    /// Answers come in the order of the questions: what was asked before this one got none.
    fn answered(&mut self, word: &str, now: Instant) -> Heard {
        let Some(at) = self.pings.iter().position(|ping| ping.word == word) else {
            return Heard::Line;
        };
        let Some(ping) = self.pings.drain(..=at).next_back() else { return Heard::Line };
        let took = now.saturating_duration_since(ping.at);
        self.rtt = Some(took);
        if ping.own { Heard::OwnPong } else { Heard::Pong(took) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeted(asks_by_itself: bool, now: Instant) -> Session {
        let mut session = Session::new(None, asks_by_itself);
        session.heard(b"* you are guest7", now);
        session
    }

    #[test]
    fn the_name_and_the_room_that_the_server_confirmed_are_asked_for_again() {
        let now = Instant::now();
        let mut session = greeted(false, now);
        assert_eq!(session.greeting(), "", "a guest's name is nobody's");
        session.said(b"/nick ann", now);
        session.heard(b"* bob is taken", now);
        assert_eq!(session.greeting(), "");
        session.heard(b"* you are ann", now);
        session.heard(b"* you are in #tea, 2 members", now);
        session.lost();
        session.heard(b"* you are guest9", now);
        assert_eq!(session.greeting(), "/nick ann\n/join #tea\n");
        session.heard(b"* you are in #lobby already", now);
        assert_eq!(session.greeting(), "/nick ann\n/join #lobby\n");
    }

    #[test]
    fn no_peer_can_change_the_name_or_the_room_by_what_it_says() {
        let now = Instant::now();
        let mut session = greeted(false, now);
        session.heard(b"<bob> * you are eve", now);
        session.heard(b"[bob] * you are in #trap, 1 member", now);
        session.heard(b"* bob left: * you are eve", now);
        assert_eq!(session.greeting(), "");
    }

    #[test]
    fn to_be_muted_is_not_to_be_called_so() {
        let now = Instant::now();
        let mut session = greeted(false, now);
        session.heard(b"* you are muted", now);
        assert_eq!(session.greeting(), "");
        session.said(b"/nick Muted", now);
        session.heard(b"* you are muted", now);
        assert_eq!(session.greeting(), "/nick muted\n");
    }

    #[test]
    fn it_is_over_when_we_quit_or_the_last_line_shows_the_door() {
        let now = Instant::now();
        for (line, over) in [
            ("* kicked", true),
            ("* kicked: too loud", true),
            ("* banned", true),
            ("* kicked joined", false),
            ("* the server is stopping", false),
            ("* closed: reading too slowly", false),
        ] {
            let mut session = greeted(false, now);
            session.heard(line.as_bytes(), now);
            assert_eq!(session.is_over(), over, "{line}");
            session.heard(b"<ann> more", now);
            assert!(!session.is_over(), "{line} was not the last");
        }
        let mut session = greeted(false, now);
        session.said(b"//quit", now);
        assert!(!session.is_over());
        session.said(b"/QUIT bye", now);
        assert!(session.is_over());
    }

    #[test]
    fn a_ping_that_was_typed_is_timed_by_its_own_answer() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut session = greeted(false, now);
        session.said(b"/ping", now);
        session.said(b"/ping two words", now);
        session.said(b"/ping \x1b", later(5));
        assert_eq!(session.heard(b"* pong: other", later(6)), Heard::Line);
        let took = Heard::Pong(Duration::from_millis(2));
        assert_eq!(session.heard(b"* pong: \\x1b", later(7)), took);
        assert_eq!(session.heard(b"* pong", later(8)), Heard::Line, "answers come in order");
        assert_eq!(session.rtt(), Some(Duration::from_millis(2)));
    }

    #[test]
    fn it_asks_by_itself_only_where_somebody_looks_and_the_server_greeted() {
        let now = Instant::now();
        assert_eq!(greeted(false, now).due(), None);
        let mut stranger = Session::new(None, true);
        stranger.heard(b"220 mail.example", now);
        stranger.heard(b"* you are late", now);
        assert_eq!(stranger.due(), None);
        let mut session = greeted(true, now);
        assert_eq!(session.own_ping(now).as_deref(), Some("/ping reactor-rtt-0\n"));
        session.asked(now);
        let next = now + ASK_EVERY;
        assert_eq!(session.own_ping(next), None, "one at a time");
        assert_eq!(session.heard(b"* pong: reactor-rtt-0", next), Heard::OwnPong);
        assert!(session.own_ping(next + ASK_EVERY).is_some());
    }
}
