//! Which names are taken, and by whom. Two names that differ in case alone are one.

use super::names::Name;
use crate::handler::PeerId;
use std::collections::BTreeMap;

/// Names in use, by their folded form.
#[derive(Default)]
pub(super) struct Register {
    taken: BTreeMap<String, PeerId>,
}

impl Register {
    /// Takes a name for a peer; false where somebody else has it.
    pub(super) fn take(&mut self, name: &Name, peer: PeerId) -> bool {
        let owner = self.taken.entry(name.folded().to_owned()).or_insert(peer);
        *owner == peer
    }

    /// Gives a name back.
    pub(super) fn give_back(&mut self, name: &Name) {
        self.taken.remove(name.folded());
    }

    /// Who has it.
    pub(super) fn find(&self, name: &Name) -> Option<PeerId> {
        self.taken.get(name.folded()).copied()
    }
}
