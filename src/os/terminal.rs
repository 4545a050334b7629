//! Raw mode: a terminal's modes changed, and always given back (termios(3)).
//!
//! The modes outlive the process, so what they were stands in a static: a panic hook has nothing
//! else to hold on to. Both ways keep out of a terminal that is another job's just now: changing its
//! modes would stop us (SIGTTOU), and the shell sets its own. What must not be here: what is drawn.

use super::stdio::{Output, in_background};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError, TryLockError};

/// The terminal that was taken.
struct Taken {
    input: OwnedFd,
    output: Output,
    /// As it was.
    modes: Termios,
}

static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

/// Behind whatever stands on the screen: no bracketed paste, autowrap, no attributes, the cursor at
/// the start of an empty row. Harmless where all of that is so already.
const RESET: &[u8] = b"\x1b[?2004l\x1b[?7h\x1b[m\r\x1b[J";

/// Makes the terminal raw that is read as `input` and written as `output`, and remembers what it
/// was like unless it is taken already. Keys come one by one, unechoed; CR and LF as they are.
/// Ctrl-C, Ctrl-\ and Ctrl-Z stay signals (ISIG). Ctrl-S and Ctrl-Q stay what they are (IXON is left
/// alone), and a signal key throws nothing away that was typed or shown before it (NOFLSH).
/// Flow control: who reads a screen full of messages wants to stop it, and nobody waits for that.
pub(super) fn take(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> io::Result<()> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut raw = match &*taken {
        Some(taken) => taken.modes.clone(),
        None => tcgetattr(input)?,
    };
    if taken.is_none() {
        *taken = Some(Taken {
            input: input.try_clone_to_owned()?,
            output: Output::new(output.try_clone_to_owned()?)?,
            modes: raw.clone(),
        });
    }
    raw.local_modes.insert(LocalModes::NOFLSH);
    raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
    raw.input_modes.remove(InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR);
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    Ok(tcsetattr(input, OptionalActions::Now, &raw)?)
}

/// Puts the modes back, if a terminal is taken and still ours. Never waits: not for output that a
/// stopped terminal does not take, and not for a lock that whoever panics holds.
pub fn give_back() {
    let mut taken = match TAKEN.try_lock() {
        Ok(taken) => taken,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let Some(Taken { input, mut output, modes }) = taken.take() else { return };
    if in_background(input.as_fd()) {
        return;
    }
    // Both as far as they go: the terminal may be gone.
    let _ = output.write(&[IoSlice::new(RESET)]);
    let _ = tcsetattr(&input, OptionalActions::Now, &modes);
}

/// From now on a panic gives the terminal back before it tells its message.
pub fn give_back_at_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        tell(panic);
    }));
}
