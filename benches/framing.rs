//! Bytes to lines and lines to safe text: what each line costs before anybody is sent anything.
//!
//! `cargo bench --bench framing`; `-- --quick` for a moment. Instructions are counted where
//! valgrind is installed.

mod pure;

use pure::Case;
use reactor::chat::words::{self, Speaker};
use reactor::visible::visible_into;
use reactor::wire::{LINE_LEN_MAX, Lines, text};
use std::hint::black_box;

/// What one recv brings at most.
const READ_BYTES: usize = 64 * 1024;

fn lines(len: usize) -> Box<dyn FnMut()> {
    let mut bytes = Vec::new();
    while bytes.len() + len <= READ_BYTES {
        bytes.resize(bytes.len() + len - 1, b'x');
        bytes.push(b'\n');
    }
    Box::new(move || {
        for line in Lines::new(black_box(&bytes), 0, LINE_LEN_MAX) {
            let _ = black_box(line.map(text));
        }
    })
}

fn visible(line: &'static str) -> Box<dyn FnMut()> {
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        visible_into(black_box(line.as_bytes()), &mut out);
        black_box(&out);
    })
}

fn main() {
    pure::main(&[
        Case { name: "lines of 32 bytes", each: "64 KiB, 2,048 lines", run: || lines(32) },
        Case { name: "lines of 512 bytes", each: "64 KiB, 128 lines", run: || lines(512) },
        Case {
            name: "visible, ASCII",
            each: "a line of 44 bytes",
            run: || visible("the quick brown fox jumps over the lazy dog."),
        },
        Case {
            name: "visible, other scripts",
            each: "a line of 61 bytes",
            run: || visible("Zwölf Boxkämpfer jagen Viktor quer über den Deich, 你好 мир"),
        },
        Case {
            name: "visible, hostile",
            each: "a line of 22 bytes",
            run: || visible("\x1b[2J\u{202e}evil\r\x07 \u{200b}end"),
        },
        Case {
            name: "a word",
            each: "/msg guest12 hello",
            run: || {
                Box::new(|| {
                    drop(black_box(words::parse(black_box("/msg guest12 hello"), Speaker::Peer)))
                })
            },
        },
    ]);
}
