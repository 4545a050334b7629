//! Where a server is watched and steered from outside: binds the control socket and the metrics
//! addresses and tells where. What is said there is `control`'s and `metrics`' business.

use super::control::{CONTROL_PEERS_MAX, TURNED_AWAY_MAX};
use super::gate::REFUSED_MAX;
use super::listening::Listening;
use super::metrics::SCRAPERS_MAX;
use super::server::{Role, Server};
use super::{Error, Options};
use crate::handler::{Endpoint, OWNER_ALONE, UnixAddress};
use crate::os::Os;
use crate::reactor::Reactor;
use crate::serve;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The most connections beside those of peers: those that are told why they may not come in, control
/// peers, scrapers.
pub const BESIDE_PEERS_MAX: usize =
    REFUSED_MAX + CONTROL_PEERS_MAX + TURNED_AWAY_MAX + SCRAPERS_MAX;

/// What a server is watched and steered by.
#[derive(Clone, Debug, Default)]
pub struct Management {
    /// The path of the control socket.
    pub control: Option<PathBuf>,
    /// Where metrics, health and readiness are told.
    pub metrics: Vec<SocketAddr>,
}

/// Binds what the options name. Behind the chat's listeners, so that these have the first indexes.
pub(super) fn listen<O: Os>(
    reactor: &mut Reactor<O>,
    server: &mut Server,
    options: &Options,
    listening: &mut Listening,
) -> Result<(), Error> {
    for &at in &options.management.metrics {
        let bind = |source| Error::Bind { transport: "tcp", at, source };
        let bound = serve::listen(reactor, server, &at.into(), OWNER_ALONE, Role::Metrics);
        let bound = bound.map_err(bind)?;
        listening.tell("tcp", &bound, "metrics");
        server.warn_of_metrics(&bound);
    }
    if let Some(path) = &options.management.control {
        let at = UnixAddress::Path(path.clone());
        let bind = |source| Error::BindUnix { at: at.clone(), source };
        let endpoint = at.clone().into();
        serve::listen(reactor, server, &endpoint, OWNER_ALONE, Role::Control).map_err(bind)?;
        listening.tell("unix", &at, "control");
    }
    Ok(())
}

impl Server {
    /// The most connections that there may be beside those of the chat.
    pub(super) fn desks_max(&self) -> usize {
        let Management { control, metrics } = &self.options.management;
        let control = if control.is_some() { CONTROL_PEERS_MAX + TURNED_AWAY_MAX } else { 0 };
        control + if metrics.is_empty() { 0 } else { SCRAPERS_MAX }
    }

    /// Metrics tell nothing that was said, but how much; a secret does not guard them.
    fn warn_of_metrics(&self, bound: &Endpoint) {
        if bound.ip().is_some_and(|at| at.ip().is_unspecified()) && !self.gate.restricts() {
            log::warn!(
                "metrics on {bound}: every network that reaches this host can read them; \
                 bind 127.0.0.1 or [::1], or take --allow"
            );
        }
    }
}
