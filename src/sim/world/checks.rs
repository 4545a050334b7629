//! What must be true of a world: after every turn, and once everything is delivered.

use super::start::UNLIMITED;
use super::*;

impl World {
    /// Who is closed by a limit of the loop had it coming.
    pub(super) fn check_thrown(&mut self) -> Result<(), String> {
        for (peer, why) in self.reactor.doomed() {
            if !matches!(why, CloseReason::Stalled | CloseReason::Buffers | CloseReason::Flood) {
                continue;
            }
            let source = Source::Peer { slot: peer.slot, serial_low: peer.serial as u32 };
            let small = self.options.buffers_total < BUFFERS_TOTAL;
            let os = self.reactor.os_mut();
            let (now, remote) = (os.clock(), os.remote_of(source));
            let Some(client) = self.clients.iter_mut().find(|client| Some(client.remote) == remote)
            else {
                return Err(format!("{peer} is closed: {why}; it is the console"));
            };
            if client.thrown {
                continue; // looked at when it was doomed; it waits for its close
            }
            let idle = now.saturating_duration_since(client.read_at);
            // Who holds a room up must take more than a byte now and then.
            let pause = self.options.rules.slow == Slow::Pause;
            let number = client.number;
            match why {
                CloseReason::Stalled if !os.remote_was_blocked(client.remote) => {
                    return Err(format!("client {number} is closed as stalled, was never blocked"));
                }
                CloseReason::Stalled
                    if !self.hard_to_send && !pause && idle < self.options.rules.stall_timeout =>
                {
                    return Err(format!("client {number} is closed as stalled, read {idle:?} ago"));
                }
                CloseReason::Flood if self.options.flood == UNLIMITED => {
                    return Err(format!(
                        "client {number} is closed for a flood, and none is limited"
                    ));
                }
                CloseReason::Buffers if !small => {
                    return Err(format!("client {number} is closed for buffers nobody filled"));
                }
                _ => client.thrown = true,
            }
        }
        Ok(())
    }

    /// The loop's invariants, after every turn.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.reactor.assert_limits();
        // One read may go over it; then nobody is read before one connection is closed.
        let total = self.options.buffers_total + self.budgets.scratch_bytes;
        let all = self.reactor.kept_all();
        if all > total {
            return Err(format!("{all} bytes of all input are kept, {total} are allowed"));
        }
        let slots = self.reactor.connections() + self.reactor.fixed();
        let budgets = self.budgets;
        let kept = self.reactor.kept_most();
        let stale = self.reactor.stats().stale_events;
        let os = self.reactor.os_mut();
        let open = os.open_descriptors();
        if open != slots {
            return Err(format!("{open} descriptors are open for {slots} slots"));
        }
        if stale != os.stale_told() {
            return Err(format!("{stale} stale events were seen, {} told", os.stale_told()));
        }
        for (step, most) in [
            (Step::Recv, budgets.reads),
            (Step::Send, budgets.sends),
            (Step::Accept, budgets.accepts + 1),
            (Step::Close, budgets.closes),
        ] {
            let calls = os.calls_this_turn(step);
            if calls > most as u64 {
                return Err(format!("{calls} calls of {step:?} in a turn, {most} are allowed"));
            }
        }
        let kept_max = self.options.rules.line_len_max + 2 + budgets.scratch_bytes;
        if kept > kept_max {
            return Err(format!("{kept} bytes of input are kept, {kept_max} are allowed"));
        }
        for (source, conditions) in os.all_conditions() {
            if conditions.event_queued {
                continue;
            }
            let memory = self.reactor.memory(source);
            if conditions.readable_now && !memory.read {
                return Err(format!("lost edge: {source:?} is readable, nobody knows"));
            }
            if conditions.writable_now && !memory.write {
                return Err(format!("lost edge: {source:?} is writable, nobody knows"));
            }
        }
        let lagged = self.server.closed_for(CloseReason::Lagged);
        if lagged > 0 && self.options.rules.slow != Slow::Disconnect {
            return Err("a reader was closed for lagging where the policy is another".into());
        }
        let size = self.server.log_size();
        if size > self.options.rules.log_bytes {
            return Err(format!(
                "the log has {size} bytes, {} allowed",
                self.options.rules.log_bytes
            ));
        }
        Ok(())
    }

    /// What must be true once everything is delivered.
    pub(super) fn check_complete(&mut self) -> Result<(), String> {
        let mut said = BTreeMap::new();
        for client in &self.clients {
            // Who was reset, or closed by us for lagging (in lines) or by a limit, may have sent
            // what nobody took in.
            let os = self.reactor.os_mut();
            let whole = client.was_accepted()
                && !client.thrown
                && !os.remote_was_cut(client.remote)
                && !os.remote_saw_reset(client.remote)
                && (os.remote_saw_fin(client.remote) == client.ended)
                && !(client.ended && (client.was_blocked || client.kicked));
            for (&room, &count) in &client.said {
                said.insert((client.number, room), (count, whole));
            }
        }
        said.insert((OPERATOR, LOBBY), (self.operator_said, true));
        for client in &mut self.clients {
            let os = self.reactor.os_mut();
            let gone = os.remote_was_cut(client.remote) || os.remote_saw_reset(client.remote);
            // Who was never accepted, for want of descriptors, waits in the backlog.
            if gone || !client.was_accepted() {
                continue;
            }
            let fin = os.remote_saw_fin(client.remote);
            let number = client.number;
            let fail = |what: String| Err(format!("client {number}: {what}"));
            // Only an end that had to come, because the socket was full for too long, cuts one.
            let may_be_cut = fin && client.was_blocked;
            if !client.rest().is_empty() && !may_be_cut {
                return fail("a message was cut".into());
            }
            if fin && !client.ended && !client.thrown {
                // Beside that only a slow reader is closed by us, or whom the operator kicked.
                if !client.was_blocked && !client.kicked {
                    return fail("was closed for nothing".into());
                }
            } else if !fin && client.ended {
                return fail("left, and was not closed".into());
            }
            if fin {
                if self.options.rules.slow != Slow::Skip && !client.is_gapless() {
                    return fail("a gap where nothing is skipped".into());
                }
                continue;
            }
            if let Err(error) = client.check_receipts(&said) {
                return fail(error);
            }
        }
        Ok(())
    }
}
