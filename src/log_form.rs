//! The form of a log line: text for people, one JSON object for programs, and for the journal a
//! priority instead of a time, sd-daemon(3). Pure: the time is an argument. What must not be here:
//! levels that are wanted or not, and where the line goes.
//!
//! What an event is about stands beside its words as key and value (`log::kv`); text leaves them out,
//! since the words say the same. `docs/SERVICE.md` lists them.

use crate::count::Count;
use crate::visible::visible;
use log::kv::{self, Key, Value, VisitSource};
use log::{Level, Record};
use serde::ser::{SerializeMap, Serializer as _};

/// The target of what is told however quiet the log is: where we listen, why it could not go on.
pub const TOLD: &str = "reactor::told";

/// How lines are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogForm {
    /// One JSON object a line.
    pub json: bool,
    /// stderr is the journal, which has its own time stamps and takes a priority in front.
    pub journal: bool,
}

impl LogForm {
    /// One line, without its newline, that nothing in it can break or steer. `time`: RFC 3339, UTC.
    pub fn line(self, time: &str, record: &Record<'_>) -> String {
        let message = record.args().to_string();
        let line = match self {
            LogForm { json: true, .. } => {
                json(time, record.level(), record.target(), &message, record.key_values())
            }
            LogForm { journal: true, .. } => message,
            _ if record.target() == TOLD => message,
            _ => format!("[{time} {:<5}] {message}", record.level()),
        };
        self.with_priority(record.level(), line)
    }

    /// The line that stands where lines were dropped: `lines` of them.
    pub fn dropped(self, time: &str, lines: u64) -> String {
        let message = format!("{} dropped", Count(lines, "log line"));
        let line = match self.json {
            true => json(
                time,
                Level::Warn,
                TOLD,
                &message,
                &[("event", Value::from("dropped")), ("lines", Value::from(lines))],
            ),
            false => message,
        };
        self.with_priority(Level::Warn, line)
    }

    /// The priorities are syslog(3)'s.
    fn with_priority(self, level: Level, line: String) -> String {
        let priority = match level {
            _ if !self.journal => return line,
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        format!("<{priority}>{line}")
    }
}

/// Every text in it is made visible first, as text lines are: so the queue has nothing left to escape
/// in its own notation, which JSON does not know.
fn json(time: &str, level: Level, target: &str, message: &str, fields: &dyn kv::Source) -> String {
    let mut line = Vec::new();
    let written = (|| {
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("time", time)?;
        object.serialize_entry("level", &level.as_str().to_ascii_lowercase())?;
        object.serialize_entry("target", target)?;
        object.serialize_entry("message", &*visible(message))?;
        let mut outcome = Ok(());
        // Its own errors are of sources that fail: these are slices.
        let _ = fields.visit(&mut Fields { object: &mut object, outcome: &mut outcome });
        outcome?;
        object.end()
    })();
    written.expect("nothing fails on its way into memory, and every key is a text");
    String::from_utf8(line).expect("JSON is text")
}

/// Writes each field as the number or the truth that it is, or as text.
struct Fields<'a, M: SerializeMap> {
    object: &'a mut M,
    outcome: &'a mut Result<(), M::Error>,
}

impl<'kvs, M: SerializeMap> VisitSource<'kvs> for Fields<'_, M> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let key = key.as_str();
        *self.outcome = match (value.to_u64(), value.to_bool()) {
            (Some(number), _) => self.object.serialize_entry(key, &number),
            (None, Some(truth)) => self.object.serialize_entry(key, &truth),
            _ => self.object.serialize_entry(key, &*visible(&value.to_string())),
        };
        match self.outcome {
            Ok(()) => Ok(()),
            Err(_) => Err(kv::Error::msg("not written")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-22T21:43:03.123Z";

    fn line(form: LogForm, level: Level, target: &str, message: &str) -> String {
        let fields =
            [("event", Value::from("closed")), ("peer", Value::from(7_u64)), ("ok", true.into())];
        let (mut record, args) = (Record::builder(), format_args!("{message}"));
        form.line(TIME, &record.level(level).target(target).args(args).key_values(&fields).build())
    }

    const TEXT: LogForm = LogForm { json: false, journal: false };
    const JSON: LogForm = LogForm { json: true, journal: false };

    #[test]
    fn text_has_time_and_level_but_where_it_is_told_anyway() {
        let told = |target| line(TEXT, Level::Warn, target, "a");
        assert_eq!(told("reactor::serve"), "[2026-11-22T21:43:03.123Z WARN ] a");
        assert_eq!(told(TOLD), "a");
    }

    #[test]
    fn the_journal_gets_a_priority_instead_of_time_and_level() {
        let journal = LogForm { journal: true, ..TEXT };
        for (level, first) in [
            (Level::Error, "<3>a"),
            (Level::Warn, "<4>a"),
            (Level::Info, "<6>a"),
            (Level::Debug, "<7>a"),
        ] {
            assert_eq!(line(journal, level, TOLD, "a"), first);
        }
        let both = LogForm { json: true, journal: true };
        assert!(line(both, Level::Warn, TOLD, "a").starts_with("<4>{\"time\":"));
        assert_eq!(journal.dropped(TIME, 1), "<4>1 log line dropped");
    }

    #[test]
    fn json_has_fixed_keys_in_a_fixed_order_then_the_fields() {
        assert_eq!(
            line(JSON, Level::Info, "reactor::x", "a \"b\""),
            r#"{"time":"2026-11-22T21:43:03.123Z","level":"info","target":"reactor::x","message":"a \"b\"","event":"closed","peer":7,"ok":true}"#
        );
        assert_eq!(
            JSON.dropped(TIME, 2),
            r#"{"time":"2026-11-22T21:43:03.123Z","level":"warn","target":"reactor::told","message":"2 log lines dropped","event":"dropped","lines":2}"#
        );
    }

    #[test]
    fn whatever_is_in_a_message_its_line_is_json_and_has_nothing_left_to_escape() {
        let hostile = "a\r\n\u{85}\u{202e}\"\\\u{1b}[2J\u{200d}\tß";
        let told = line(JSON, Level::Info, "x", hostile);
        let read: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(read["message"], *visible(hostile));
        assert_eq!(visible(&told), told);
    }
}
