//! The signal that ended us, raised once more with its default action, when everything is cleaned
//! up: only so does a shell see that a signal ended the program, and stop a loop or a script of its
//! own too ("Proper handling of SIGINT/SIGQUIT", Martin Cracauer).

use crate::handler::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;

/// Ends the process by `signal`. Returns where that cannot be: the first process of a container
/// (PID 1) is not ended by a signal's default action, see pid_namespaces(7).
pub fn end_by(signal: Signal) {
    let number = match signal {
        Signal::Interrupt => SIGINT,
        Signal::Terminate => SIGTERM,
        Signal::Hangup => SIGHUP,
        Signal::Continue => return,
    };
    if std::process::id() != 1 {
        let _ = emulate_default_handler(number);
    }
}
