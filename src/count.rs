//! How many there are of something, in words: `1 peer`, `2 peers`. What must not be here: what is
//! counted, and words whose plural is no added `s`.

use std::fmt::{Display, Formatter, Result};

/// A number and the word for one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count<N>(pub(crate) N, pub(crate) &'static str);

impl<N: Display + PartialEq + From<bool>> Display for Count<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let s = if self.0 == N::from(true) { "" } else { "s" };
        write!(f, "{} {}{s}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_the_word_and_any_other_number_is_its_plural() {
        let said = [0, 1, 2].map(|n| Count(n, "peer").to_string());
        assert_eq!(said, ["0 peers", "1 peer", "2 peers"]);
        assert_eq!(Count(1_usize, "room").to_string(), "1 room");
    }
}
