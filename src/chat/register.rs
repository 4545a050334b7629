//! Which names are taken, and by whom. Two names that differ in case alone are one. Beside the
//! peers, for few of ten thousand silent ones ever choose a name.

use super::names::Name;
use crate::handler::PeerId;
use std::collections::BTreeMap;

/// Names in use.
///
/// Invariant: the two maps hold the same names, `owners` by their folded form.
#[derive(Default)]
pub(super) struct Register {
    owners: BTreeMap<String, PeerId>,
    names: BTreeMap<PeerId, Name>,
}

impl Register {
    /// Takes a name for a peer and gives back the one that it had; false, and nothing changes,
    /// where somebody else has it.
    pub(super) fn take(&mut self, name: &Name, peer: PeerId) -> bool {
        if self.find(name).is_some_and(|owner| owner != peer) {
            return false;
        }
        self.give_back(peer);
        self.owners.insert(name.folded().to_owned(), peer);
        self.names.insert(peer, name.clone());
        true
    }

    /// A peer needs its name no more.
    pub(super) fn give_back(&mut self, peer: PeerId) {
        if let Some(name) = self.names.remove(&peer) {
            self.owners.remove(name.folded());
        }
    }

    /// The name that a peer chose.
    pub(super) fn name_of(&self, peer: PeerId) -> Option<&Name> {
        self.names.get(&peer)
    }

    /// Who has it.
    pub(super) fn find(&self, name: &Name) -> Option<PeerId> {
        self.owners.get(name.folded()).copied()
    }
}
