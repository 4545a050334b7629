//! The words: everything that a peer or the operator may order, in one table, and the parser and
//! the help that are made from it; pure. Whoever speaks them elsewhere (a control socket, the
//! documentation) takes them from here. What an order does is decided by who obeys it.

use super::names::{self, Name};
use crate::visible::visible;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Every word, in the order in which help shows them. A name may stand twice, once for each
/// speaker.
pub const WORDS: &[Word] =
    &[
        word("nick", "NAME", "take a name", By::Peer, |text| match text {
            "" => Err(Bad::Usage),
            _ => Ok(Order::Nick(names::check(text)?)),
        }),
        word("join", "#ROOM", "go to a room; it is made when there is none", By::Both, |text| {
            match text {
                "" => Err(Bad::Usage),
                _ => Ok(Order::Join(names::check_room(text)?)),
            }
        }),
        word("rooms", "", "tell the rooms", By::Both, |text| alone(text, Order::Rooms)),
        word("who", "[#ROOM]", "tell who is there", By::Both, |text| match text {
            "" => Ok(Order::Who(None)),
            _ => Ok(Order::Who(Some(names::check_room(text)?))),
        }),
        word("msg", "NAME TEXT", "say something to one peer alone", By::Both, msg),
        word("ping", "[WORD]", "get an answer from the server", By::Both, ping),
        word("all", "TEXT", "say something in every room", By::Operator, |text| match text {
            "" => Err(Bad::Usage),
            _ => Ok(Order::All(text)),
        }),
        word("kick", "NAME|#SERIAL [REASON]", "close a peer", By::Operator, kick),
        word("mute", "NAME|#SERIAL", "pass on nothing that a peer says", By::Operator, |text| {
            Ok(Order::Mute(target(text)?))
        }),
        word("ban", "ADDRESS[/PREFIX] [for 10m]", "let nobody in from there", By::Operator, ban),
        word("unban", "ADDRESS[/PREFIX]", "take a ban back", By::Operator, |text| {
            Ok(Order::Unban(prefix(text)?))
        }),
        word("bans", "", "tell the bans", By::Operator, |text| alone(text, Order::Bans)),
        word("stats", "[all]", "tell the counters; all: by their names", By::Operator, |text| {
            match text {
                "" => Ok(Order::Stats { all: false }),
                text if text.eq_ignore_ascii_case("all") => Ok(Order::Stats { all: true }),
                _ => Err(Bad::Usage),
            }
        }),
        word("top", "", "tell who lags and who talks most", By::Operator, |text| {
            alone(text, Order::Top)
        }),
        word("limits", "[NAME VALUE]", "tell the limits, or change one", By::Operator, limits),
        word("drain", "", "let nobody in, stop when the last has left", By::Operator, |text| {
            alone(text, Order::Drain)
        }),
        word("help", "", "tell these words", By::Both, |text| alone(text, Order::Help)),
        word("quit", "[REASON]", "leave", By::Peer, |text| Ok(Order::Quit(reason(text)?))),
        word("quit", "", "stop the server", By::Operator, |text| alone(text, Order::Quit(None))),
    ];

/// Longest hint in bytes: two lines of a terminal.
pub const HINT_BYTES_MAX: usize = 160;

/// Longest reason in bytes as typed: it is told to a whole room.
pub const REASON_BYTES_MAX: usize = 256;

/// Longest word in bytes that a ping is answered with: answers have little room.
pub const PING_BYTES_MAX: usize = 64;

/// Longest ban that ends: far below what an `Instant` can be moved by. Without `for` it lasts.
pub const BAN_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// How much of an unknown command a hint repeats, in bytes.
const ECHO_BYTES_MAX: usize = 32;

/// More slips than this are another word.
const SLIPS_MAX: usize = 2;

/// What stands between a command and its arguments.
const SPACE: [char; 2] = [' ', '\t'];

/// One word.
#[derive(Debug)]
pub struct Word {
    /// Without its slash, in lower case.
    pub name: &'static str,
    /// As help shows them; empty where it takes none.
    pub arguments: &'static str,
    /// Half a line that ends `/name …`.
    pub help: &'static str,
    /// Who may say it.
    pub by: By,
    /// Its arguments, without space at either end, made into an order.
    read: for<'a> fn(&'a str) -> Result<Order<'a>, Bad>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// A connected peer.
    Peer,
    /// Whoever runs the server: at the console, or over the control socket.
    Operator,
}

/// Who may say a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Peers alone.
    Peer,
    /// The operator alone.
    Operator,
    /// Everybody.
    Both,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// Said to the others. Of two slashes at its start one is gone.
    Said(&'a str),
    /// To be obeyed.
    Order(Order<'a>),
    /// Neither said nor obeyed: a hint for the speaker alone, visible, one line without its
    /// ending, at most [`HINT_BYTES_MAX`] bytes.
    Wrong(String),
}

/// An order with its arguments. Texts are as typed, not made visible, without space at either end
/// and never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Be called so.
    Nick(Name),
    /// Go to this room: its name with `#`, folded.
    Join(String),
    /// Tell the rooms.
    Rooms,
    /// Tell who is in this room, or in the speaker's.
    Who(Option<String>),
    /// Say something to one peer.
    Msg {
        /// Whom; a guest's name and `operator` too.
        to: Name,
        /// What.
        text: &'a str,
    },
    /// Tell the words: [`help`].
    Help,
    /// A peer leaves, with at most [`REASON_BYTES_MAX`] bytes of reason; the operator, who gives
    /// none, stops the server.
    Quit(Option<&'a str>),
    /// Answer, with this word of at most [`PING_BYTES_MAX`] bytes.
    Ping(Option<&'a str>),
    /// Say something in every room.
    All(&'a str),
    /// Close a peer.
    Kick {
        /// Whom.
        whom: Target,
        /// At most [`REASON_BYTES_MAX`] bytes.
        reason: Option<&'a str>,
    },
    /// Pass on nothing that this peer says.
    Mute(Target),
    /// Let nobody in from there.
    Ban {
        /// An IP address, or one with `/` and a number of bits that it can have.
        prefix: &'a str,
        /// More than zero and at most [`BAN_MAX`]; none: it lasts.
        for_: Option<Duration>,
    },
    /// Take a ban back; the prefix as in `Ban`.
    Unban(&'a str),
    /// Tell the bans.
    Bans,
    /// Tell the counters.
    Stats {
        /// Each on its own line, by the name that it has for monitoring.
        all: bool,
    },
    /// Tell the peers by lag and by rate.
    Top,
    /// Tell the limits, or set the one of this name to this value, neither of which was looked at.
    Limits(Option<(&'a str, &'a str)>),
    /// Let nobody in, stop when the last has left.
    Drain,
}

/// Which peer an order is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By name; a guest's too.
    Name(Name),
    /// By the number that logs name it by: `#812`.
    Serial(u64),
}

/// Why arguments make no order.
enum Bad {
    /// The word's usage says it all.
    Usage,
    /// This is wrong with them.
    Because(String),
}

impl From<names::Refusal> for Bad {
    fn from(refusal: names::Refusal) -> Self {
        Bad::Because(refusal.to_string())
    }
}

/// What a line without its ending is. `/` begins an order, `//` a text that begins with one `/`.
/// Commands may be typed in capitals too.
pub fn parse(line: &str, who: Speaker) -> Parsed<'_> {
    match line.strip_prefix('/') {
        None => Parsed::Said(line),
        Some(text) if text.starts_with('/') => Parsed::Said(text),
        Some(text) => match order(text, who) {
            Ok(order) => Parsed::Order(order),
            Err(hint) => Parsed::Wrong(cut(&hint, HINT_BYTES_MAX)),
        },
    }
}

/// The words that `who` may say, a line each without its ending; less than 4 KiB together.
pub fn help(who: Speaker) -> impl Iterator<Item = String> {
    let usages = words(who).map(|word| word.to_string().len());
    let width = usages.max().unwrap_or(0);
    words(who).map(move |word| format!("{:width$}  {}", word.to_string(), word.help))
}

impl Word {
    /// Whether `who` may say it.
    pub fn is_for(&self, who: Speaker) -> bool {
        match self.by {
            By::Peer => who == Speaker::Peer,
            By::Operator => who == Speaker::Operator,
            By::Both => true,
        }
    }
}

/// How it is used: `/ban ADDRESS[/PREFIX] [for 10m]`.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.arguments.is_empty() { "" } else { " " };
        write!(f, "/{}{space}{}", self.name, self.arguments)
    }
}

const fn word(
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    by: By,
    read: for<'a> fn(&'a str) -> Result<Order<'a>, Bad>,
) -> Word {
    Word { name, arguments, help, by, read }
}

fn words(who: Speaker) -> impl Iterator<Item = &'static Word> {
    WORDS.iter().filter(move |word| word.is_for(who))
}

/// `text`: what stands behind the slash.
fn order(text: &str, who: Speaker) -> Result<Order<'_>, String> {
    let (name, arguments) = split(text);
    let called = |word: &&Word| word.name.eq_ignore_ascii_case(name);
    let Some(word) = words(who).find(called) else {
        return Err(match WORDS.iter().find(called) {
            Some(Word { name, by: By::Operator, .. }) => format!("/{name} is the operator's alone"),
            Some(Word { name, .. }) => format!("/{name} is for peers"),
            None => unknown(name, who),
        });
    };
    (word.read)(arguments).map_err(|bad| match bad {
        Bad::Usage => format!("usage: {word}"),
        Bad::Because(why) => format!("/{}: {why}", word.name),
    })
}

fn unknown(name: &str, who: Speaker) -> String {
    // Only the start is made visible: the line may be long.
    let start: String = name.chars().take(ECHO_BYTES_MAX + 1).collect();
    let echo = cut(&visible(&start), ECHO_BYTES_MAX);
    match nearest(name, who) {
        Some(word) => format!("no command /{echo}; did you mean /{}?", word.name),
        None => format!("no command /{echo}; /help tells all, // says a line that begins with /"),
    }
}

/// The word that was likely meant. A slip for each two letters, so that no word of three becomes
/// another; the distance costs the product of the lengths, so long names are not compared at all.
fn nearest(name: &str, who: Speaker) -> Option<&'static Word> {
    let length = name.chars().take(32).count();
    let slips = |word: &'static Word| {
        let most = SLIPS_MAX.min(length.min(word.name.len()) / 2);
        if length.abs_diff(word.name.len()) > most {
            return None;
        }
        let slips = strsim::damerau_levenshtein(&name.to_ascii_lowercase(), word.name);
        (slips <= most).then_some((slips, word))
    };
    words(who).filter_map(slips).min_by_key(|(slips, _)| *slips).map(|(_, word)| word)
}

/// The first word, and the rest without space at either end.
fn split(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(SPACE).unwrap_or((text, ""));
    (first, rest.trim_matches(SPACE))
}

/// At most `bytes_max` bytes; what is cut off leaves an ellipsis.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = bytes_max - "…".len();
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= room;
    let kept = text.char_indices().take_while(fits).map(|(_, c)| c);
    kept.chain(['…']).collect()
}

fn alone<'a>(text: &str, order: Order<'a>) -> Result<Order<'a>, Bad> {
    if text.is_empty() { Ok(order) } else { Err(Bad::Usage) }
}

fn msg(text: &str) -> Result<Order<'_>, Bad> {
    match split(text) {
        (_, "") => Err(Bad::Usage),
        (to, text) => Ok(Order::Msg { to: names::check_called(to)?, text }),
    }
}

fn ping(text: &str) -> Result<Order<'_>, Bad> {
    match text {
        "" => Ok(Order::Ping(None)),
        _ if text.contains(SPACE) => Err(Bad::Usage),
        _ if text.len() > PING_BYTES_MAX => {
            Err(Bad::Because(format!("a word has at most {PING_BYTES_MAX} bytes")))
        }
        _ => Ok(Order::Ping(Some(text))),
    }
}

fn kick(text: &str) -> Result<Order<'_>, Bad> {
    let (whom, why) = split(text);
    Ok(Order::Kick { whom: target(whom)?, reason: reason(why)? })
}

fn ban(text: &str) -> Result<Order<'_>, Bad> {
    let (address, rest) = split(text);
    let prefix = prefix(address)?;
    let for_ = match split(rest) {
        ("", _) => None,
        (word, time) if word.eq_ignore_ascii_case("for") && !time.is_empty() => {
            Some(duration(time)?)
        }
        _ => return Err(Bad::Usage),
    };
    Ok(Order::Ban { prefix, for_ })
}

fn limits(text: &str) -> Result<Order<'_>, Bad> {
    match split(text) {
        ("", _) => Ok(Order::Limits(None)),
        (_, "") => Err(Bad::Usage),
        (_, value) if value.contains(SPACE) => Err(Bad::Usage),
        (name, value) => Ok(Order::Limits(Some((name, value)))),
    }
}

fn reason(text: &str) -> Result<Option<&str>, Bad> {
    match text.len() {
        0 => Ok(None),
        1..=REASON_BYTES_MAX => Ok(Some(text)),
        _ => Err(Bad::Because(format!("a reason has at most {REASON_BYTES_MAX} bytes"))),
    }
}

fn target(text: &str) -> Result<Target, Bad> {
    match text.strip_prefix('#') {
        _ if text.is_empty() => Err(Bad::Usage),
        None => Ok(Target::Name(names::check_called(text)?)),
        Some(digits) => match number(digits) {
            Some(serial) => Ok(Target::Serial(serial)),
            None => Err(Bad::Because("behind # stands a peer's number, as in #812".into())),
        },
    }
}

fn prefix(text: &str) -> Result<&str, Bad> {
    let (address, bits) = match text.split_once('/') {
        None => (text, Some(0)),
        Some((address, bits)) => (address, number(bits)),
    };
    let bits_max = match address.parse() {
        _ if text.is_empty() => return Err(Bad::Usage),
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return Err(Bad::Because("an address is like 192.0.2.7 or 2001:db8::7".into())),
    };
    match bits {
        Some(bits) if bits <= bits_max => Ok(text),
        _ => Err(Bad::Because(format!("a prefix of that address has 0 to {bits_max} bits"))),
    }
}

/// `90s`, `10m`, `1h30m`: a time that a ban can last.
fn duration(text: &str) -> Result<Duration, Bad> {
    let signed = text.parse::<jiff::SignedDuration>().ok();
    match signed.and_then(|signed| Duration::try_from(signed).ok()) {
        Some(time) if time.is_zero() => Err(Bad::Because("a ban lasts longer than that".into())),
        Some(time) if time > BAN_MAX => {
            let hours = BAN_MAX.as_secs() / 3600;
            Err(Bad::Because(format!("at most {hours}h; without a time it lasts")))
        }
        Some(time) => Ok(time),
        None => Err(Bad::Because("a time is like 90s, 10m or 1h30m".into())),
    }
}

/// Digits alone: `parse` would take a sign too.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
