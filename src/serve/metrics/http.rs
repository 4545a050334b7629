//! The little of HTTP/1.1 (RFC 9112) that a scrape needs, on the parser of the crate httparse; pure.
//! A request is a head without a body; an answer says how long it is, so a connection can be used
//! again.

use httparse::{EMPTY_HEADER, Error, Header, Request, Status};
use std::io::Write as _;

/// Bytes of a request's head. Prometheus sends some 300; a browser with cookies of other ports of
/// this host some thousands.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Fields of a head. A browser sends 15.
const FIELDS_MAX: usize = 64;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// What is to be answered.
    pub(super) target: Target,
    /// HEAD: the answer without its body.
    pub(super) head_only: bool,
    /// The connection is used again.
    pub(super) keep: bool,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Metrics,
    /// Whether the loop goes round: an answer says it.
    Health,
    /// Whether newcomers are let in.
    Ready,
    /// This error instead.
    Wrong(Code),
}

/// A status code with its reason. RFC 9110 §15.
pub(super) type Code = (u16, &'static str);

pub(super) const OK: Code = (200, "OK");
pub(super) const BAD_REQUEST: Code = (400, "Bad Request");
pub(super) const NOT_FOUND: Code = (404, "Not Found");
pub(super) const METHOD_NOT_ALLOWED: Code = (405, "Method Not Allowed");
pub(super) const CONTENT_TOO_LARGE: Code = (413, "Content Too Large");
pub(super) const HEAD_TOO_LARGE: Code = (431, "Request Header Fields Too Large");
pub(super) const UNAVAILABLE: Code = (503, "Service Unavailable");

/// One request at the front of `bytes` and how long it is, or nothing while its end has not come.
/// What is wrong ends the connection: where the next request begins nobody knows.
pub(super) fn parse(bytes: &[u8]) -> Option<(Asked, usize)> {
    let wrong = |code| {
        Some((Asked { target: Target::Wrong(code), head_only: false, keep: false }, bytes.len()))
    };
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut request = Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(len)) if len <= HEAD_BYTES_MAX => Some((asked(&request), len)),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => None,
        Ok(_) | Err(Error::TooManyHeaders) => wrong(HEAD_TOO_LARGE),
        Err(_) => wrong(BAD_REQUEST),
    }
}

fn asked(request: &Request<'_, '_>) -> Asked {
    let newer = request.version == Some(1);
    let has = |name: &'static str, token: &str| {
        let values = fields(request.headers, name).map(|value| value.split(|&byte| byte == b','));
        values.flatten().any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    let keep = if newer { !has("connection", "close") } else { has("connection", "keep-alive") };
    let empty = fields(request.headers, "content-length").all(|value| value.trim_ascii() == b"0");
    let body = !empty || fields(request.headers, "transfer-encoding").next().is_some();
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    let method = request.method.unwrap_or_default();
    let target = match path {
        _ if newer && fields(request.headers, "host").count() != 1 => Target::Wrong(BAD_REQUEST),
        _ if body => Target::Wrong(CONTENT_TOO_LARGE),
        _ if !matches!(method, "GET" | "HEAD") => Target::Wrong(METHOD_NOT_ALLOWED),
        "/metrics" => Target::Metrics,
        "/healthz" => Target::Health,
        "/readyz" => Target::Ready,
        _ => Target::Wrong(NOT_FOUND),
    };
    let lost = matches!(target, Target::Wrong(BAD_REQUEST | CONTENT_TOO_LARGE));
    Asked { target, head_only: method == "HEAD", keep: keep && !lost }
}

/// The values of all fields of that name.
fn fields<'a>(all: &'a [Header<'_>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let fits = move |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name);
    all.iter().filter(fits).map(|field| field.value)
}

/// Writes an answer behind what is in `out`.
pub(super) fn answer(out: &mut Vec<u8>, asked: Asked, code: Code, kind: &str, body: &str) {
    let (number, reason) = code;
    let allow = if code == METHOD_NOT_ALLOWED { "Allow: GET, HEAD\r\n" } else { "" };
    let connection = if asked.keep { "keep-alive" } else { "close" };
    // A Vec takes all that is written.
    let _ = write!(
        out,
        "HTTP/1.1 {number} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\n{allow}Connection: {connection}\r\n\r\n",
        body.len()
    );
    if !asked.head_only {
        out.extend_from_slice(body.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(request: &str) -> (Target, bool) {
        let (asked, len) = parse(request.as_bytes()).expect("a whole head");
        assert_eq!(len, request.len());
        (asked.target, asked.keep)
    }

    #[test]
    fn a_request_is_taken_whole_and_what_follows_is_left() {
        let request = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(parse(&request.as_bytes()[..end]), None, "{end} bytes");
        }
        let two = format!("{request}GET /healthz HTTP/1.1\r\n");
        let asked = Asked { target: Target::Metrics, head_only: false, keep: true };
        assert_eq!(parse(two.as_bytes()), Some((asked, request.len())));
    }

    #[test]
    fn a_connection_is_kept_by_the_words_of_its_version() {
        for (request, keep) in [
            ("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n", false),
            ("GET /readyz HTTP/1.0\r\n\r\n", false),
            ("GET /readyz HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n", true),
        ] {
            assert_eq!(target(request), (Target::Ready, keep), "{request}");
        }
    }

    #[test]
    fn what_is_not_served_is_an_error_by_its_kind() {
        for (request, code, keep) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NOT_FOUND, true),
            ("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", METHOD_NOT_ALLOWED, true),
            (
                "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
                CONTENT_TOO_LARGE,
                false,
            ),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                CONTENT_TOO_LARGE,
                false,
            ),
            ("GET /metrics HTTP/1.1\r\n\r\n", BAD_REQUEST, false),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD_REQUEST, false),
            ("hello\r\n\r\n", BAD_REQUEST, false),
            ("\x16\x03\x01\x02", BAD_REQUEST, false),
        ] {
            assert_eq!(target(request), (Target::Wrong(code), keep), "{request:?}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_not_waited_for() {
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(target(&long), (Target::Wrong(HEAD_TOO_LARGE), false));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(target(&many), (Target::Wrong(HEAD_TOO_LARGE), false));
    }

    #[test]
    fn an_answer_says_how_long_it_is_and_of_head_alone_nothing_follows() {
        let mut out = Vec::new();
        let asked = Asked { target: Target::Health, head_only: false, keep: false };
        answer(&mut out, asked, OK, "text/plain", "ok\n");
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
            )
        );
        assert!(text.ends_with("\r\nConnection: close\r\n\r\nok\n"), "{text}");
        let mut out = Vec::new();
        answer(&mut out, Asked { head_only: true, ..asked }, OK, "text/plain", "ok\n");
        assert!(out.ends_with(b"\r\n\r\n"));
    }
}
