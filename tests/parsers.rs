//! The parsers that strangers reach, with what a seed makes up: random bytes, pieces that mean
//! something, and mutations of both. The properties are those of the fuzz targets (`fuzz/`), which
//! look further with the coverage as their guide; this is the part that `cargo test` has time for.

// The fuzz crate's own file: what holds is written once.
#[allow(unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod properties;

/// Inputs a property. Together they take a second or two of the test profile.
const INPUTS: u64 = 20_000;

/// Pieces that the parsers know, so that chance gets past their first look.
const PIECES: [&[u8]; 51] = [
    b"\n",
    b"\r\n",
    b"\r",
    b"/",
    b"//",
    b"/nick ",
    b"/join #",
    b"/msg ",
    b"/who ",
    b"/rooms",
    b"/ping ",
    b"/quit ",
    b"/help",
    b"/kick ",
    b"/ban ",
    b"/limits ",
    b"/all ",
    b"/mute ",
    b"guest1",
    b"guest2 ",
    b"#lobby",
    b"#tea",
    b"operator",
    b"ann",
    b" ",
    b"\t",
    b"\0",
    b"\x1b[2J",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\xf3\xa0\x80\x81",
    b"\xc2\x85",
    b"\xe2\x80\x8d",
    b"127.0.0.1",
    b":65432",
    b"[::1]",
    b"%eth0",
    b"ff02::1",
    b"0x7f",
    b"<broadcast>",
    b"239.1.2.3",
    b"65535",
    b"1h",
    b"\nallow ",
    b"\ndeny ",
    b"2001:db8::/48",
    b"\nallow 10.0.0.0/8\n",
    b"\ndeny ::ffff:10.0.0.0/104\n",
    b"\nallow 10.0.0.0 # one\n",
    b"\ndeny all\n",
];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn input(&mut self) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(24) {
            match self.below(8) {
                0 => input.push(self.next() as u8),
                1 => input.push(b' ' + self.below(95) as u8),
                2 => {
                    let run = self.below(80);
                    input.extend(std::iter::repeat_n(self.next() as u8, run));
                }
                _ => input.extend_from_slice(PIECES[self.below(PIECES.len())]),
            }
        }
        // Some of them damaged.
        for _ in 0..self.below(3) {
            if !input.is_empty() {
                let at = self.below(input.len());
                match self.below(3) {
                    0 => input[at] ^= 1 << self.below(8),
                    1 => input.truncate(at),
                    _ => input.insert(at, self.next() as u8),
                }
            }
        }
        input
    }
}

fn for_many_inputs(property: fn(&[u8]), inputs: u64) {
    for seed in 0..inputs {
        let input = Random(seed).input();
        if let Err(panic) = std::panic::catch_unwind(|| property(&input)) {
            eprintln!("seed {seed}: {:?}", String::from_utf8_lossy(&input));
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn every_split_of_a_stream_gives_the_same_lines() {
    for_many_inputs(properties::wire, INPUTS);
}

#[test]
fn a_typed_line_is_said_obeyed_or_wrong() {
    for_many_inputs(properties::words, INPUTS);
}

#[test]
fn whatever_is_said_others_get_whole_visible_lines() {
    for_many_inputs(properties::chat, INPUTS / 10);
}

#[test]
fn an_address_is_refused_in_one_line_or_read_back_as_itself() {
    for_many_inputs(properties::address, INPUTS);
}

#[test]
fn an_access_file_is_refused_in_one_line_or_read_back_as_itself() {
    for_many_inputs(properties::access, INPUTS);
}

#[test]
fn what_is_visible_is_visible_again_as_it_is() {
    for_many_inputs(properties::visible_text, INPUTS);
}
