//! What each server's clients write and read, and no more of it than the load needs: plain lines,
//! our own chat, Redis (RESP2), NATS, MQTT 3.1.1 with QoS 0. Pure: bytes in, bytes out.
//!
//! A message is `size` bytes, its newline included, on every protocol. A topic is one letter.

use clap::ValueEnum;

/// The longest piece that may come before it is whole, a message apart: NATS says hello with a
/// few hundred bytes of JSON.
const PIECE_MAX: usize = 8 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Protocol {
    /// What one peer says reaches the others as it is; no topics
    Lines,
    /// As lines, with `<name> ` in front and notices between; no topics
    Chat,
    /// Who subscribes cannot publish: a peer that does both has two connections
    Redis,
    /// Asks not to hear its own
    Nats,
    /// Hears its own
    Mqtt,
}

/// One piece of what came.
pub(crate) struct Piece<'a> {
    /// Bytes that it takes.
    pub(crate) used: usize,
    /// The message, where it is one.
    pub(crate) message: Option<&'a [u8]>,
}

impl Protocol {
    /// Whether a subscriber publishes on another connection.
    pub(crate) fn publishes_apart(self) -> bool {
        self == Protocol::Redis
    }

    /// Whether each topic is heard alone. Without, everybody hears everything.
    pub(crate) fn has_topics(self) -> bool {
        !matches!(self, Protocol::Lines | Protocol::Chat)
    }

    /// How many of `peers` hear one message of a peer among them.
    pub(crate) fn hearers(self, peers: usize) -> usize {
        match self {
            Protocol::Redis | Protocol::Mqtt => peers,
            Protocol::Lines | Protocol::Chat | Protocol::Nats => peers - 1,
        }
    }

    /// What a client says first; a subscriber names its topic.
    pub(crate) fn hello(self, topic: Option<char>) -> Vec<u8> {
        match (self, topic) {
            (Protocol::Lines | Protocol::Chat, _) | (Protocol::Redis, None) => Vec::new(),
            (Protocol::Redis, Some(topic)) => {
                format!("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\n{topic}\r\n").into()
            }
            (Protocol::Nats, topic) => {
                let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n";
                let subscribe = topic.map(|topic| format!("SUB {topic} 1\r\n"));
                format!("{connect}{}", subscribe.unwrap_or_default()).into()
            }
            (Protocol::Mqtt, topic) => {
                // CONNECT: level 4, clean session, no keep-alive, a client id that the server makes.
                let mut hello = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_vec();
                if let Some(topic) = topic {
                    // SUBSCRIBE: packet 1, one topic, QoS 0.
                    hello.extend_from_slice(b"\x82\x06\x00\x01\x00\x01");
                    hello.extend_from_slice(&[topic as u8, 0]);
                }
                hello
            }
        }
    }

    /// One message on its way to the server.
    pub(crate) fn publish(self, topic: char, message: &[u8], out: &mut Vec<u8>) {
        let size = message.len();
        match self {
            Protocol::Lines | Protocol::Chat => {}
            Protocol::Redis => {
                let head = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\n{topic}\r\n${size}\r\n");
                out.extend_from_slice(head.as_bytes());
            }
            Protocol::Nats => out.extend_from_slice(format!("PUB {topic} {size}\r\n").as_bytes()),
            Protocol::Mqtt => {
                out.push(0x30);
                let mut left = size + 3;
                while left >= 128 {
                    out.push((left % 128) as u8 | 128);
                    left /= 128;
                }
                out.extend_from_slice(&[left as u8, 0, 1, topic as u8]);
            }
        }
        out.extend_from_slice(message);
        if matches!(self, Protocol::Redis | Protocol::Nats) {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The first piece of `input`, or None where it is not whole. What cannot be understood is an
    /// error: the stream is damaged, or it is no such server.
    pub(crate) fn piece(self, input: &[u8], size: usize) -> Result<Option<Piece<'_>>, String> {
        let piece = match self {
            Protocol::Lines => (input.len() >= size).then(|| message(input, 0, size, size)),
            Protocol::Chat => line(input).map(|used| match input[0] {
                b'<' if used >= size => message(input, used - size, size, used),
                _ => Piece { used, message: None },
            }),
            Protocol::Redis => redis(input, size),
            Protocol::Nats if input.starts_with(b"MSG ") => {
                let head = line(input);
                head.map(|head| (head, head + size + 2))
                    .filter(|(_, used)| input.len() >= *used)
                    .map(|(head, used)| message(input, head, size, used))
            }
            Protocol::Nats if input.starts_with(b"-ERR") => {
                return Err(String::from_utf8_lossy(input).into_owned());
            }
            Protocol::Nats => line(input).map(|used| Piece { used, message: None }),
            Protocol::Mqtt => mqtt(input, size),
        };
        if piece.is_none() && input.len() > size + PIECE_MAX {
            return Err("what came is no message of this protocol".into());
        }
        Ok(piece)
    }
}

fn message(input: &[u8], at: usize, size: usize, used: usize) -> Piece<'_> {
    Piece { used, message: Some(&input[at..at + size]) }
}

/// Length of the first line, its newline included.
fn line(input: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', input).map(|at| at + 1)
}

fn redis(input: &[u8], size: usize) -> Option<Piece<'_>> {
    const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n$1\r\n";
    // A one-letter topic and the length's own line stand between.
    let topic_end = MESSAGE.len() + 3;
    if input.starts_with(MESSAGE) {
        let head = topic_end + line(input.get(topic_end..)?)?;
        let used = head + size + 2;
        return (input.len() >= used).then(|| message(input, head, size, used));
    }
    // `:N`, or what answers SUBSCRIBE: its lines are noise one by one. A message that is not
    // whole yet must not be taken for them.
    let may_be_message = MESSAGE.starts_with(&input[..input.len().min(MESSAGE.len())]);
    if may_be_message { None } else { line(input).map(|used| Piece { used, message: None }) }
}

fn mqtt(input: &[u8], size: usize) -> Option<Piece<'_>> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = usize::from(*input.get(at)?);
        length |= (byte & 127) << (7 * (at - 1));
        at += 1;
        if byte < 128 || at > 4 {
            break;
        }
    }
    let used = at + length;
    if input.len() < used {
        return None;
    }
    let is_message = input[0] & 0xf0 == 0x30 && length == size + 3;
    Some(Piece { used, message: is_message.then(|| &input[used - size..used]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server sends to a subscriber, hello and one message.
    fn told(protocol: Protocol) -> &'static [u8] {
        match protocol {
            Protocol::Lines => b"seven!\n",
            Protocol::Chat => b"* you are guest1\n<a> seven!\n",
            Protocol::Redis => {
                b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$7\r\nseven!\n\r\n"
            }
            Protocol::Nats => b"INFO {}\r\nPING\r\nMSG a 1 7\r\nseven!\n\r\n",
            Protocol::Mqtt => b"\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x0a\x00\x01aseven!\n",
        }
    }

    #[test]
    fn every_split_gives_the_same_message() {
        for &protocol in Protocol::value_variants() {
            let told = told(protocol);
            for split in 0..told.len() {
                let (mut at, mut messages) = (0, Vec::new());
                for end in [split, told.len()] {
                    while let Some(piece) = protocol.piece(&told[at..end], 7).unwrap() {
                        messages.extend(piece.message.map(<[u8]>::to_vec));
                        at += piece.used;
                    }
                }
                assert_eq!(messages, [b"seven!\n"], "{protocol:?} split at {split}");
                assert_eq!(at, told.len(), "{protocol:?} split at {split}");
            }
        }
    }

    #[test]
    fn a_long_message_of_mqtt_has_a_length_of_two_bytes() {
        let mut out = Vec::new();
        Protocol::Mqtt.publish('a', &[b'x'; 512], &mut out);
        assert_eq!(out[..3], [0x30, 0x83, 0x04]);
        let piece = Protocol::Mqtt.piece(&out, 512).unwrap().unwrap();
        assert_eq!((piece.used, piece.message.unwrap().len()), (out.len(), 512));
    }

    #[test]
    fn what_is_of_another_protocol_is_an_error_and_not_kept_for_ever() {
        assert!(Protocol::Nats.piece(&[b'x'; 9_000], 32).is_err());
    }
}
