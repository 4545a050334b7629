//! The scenario `connect`: connections opened and closed a second.

use super::churn::Churn;
use super::drive::{Bench, Broken};
use super::figures::{Draft, Used};
use super::options::{Length, Options};
use super::report::grouped;
use super::report::model::Better;
use crate::os::Os;
use std::time::Duration;

impl<O: Os> Bench<'_, O> {
    pub(super) fn connect(
        &mut self,
        options: &Options,
        window: usize,
        time: (Duration, Length),
    ) -> Result<Draft, Broken> {
        let before = self.look();
        let now = self.now();
        let mut churn = Churn::new(self.server.to.clone(), window, time, now);
        let looks = self.measure(&mut churn)?;
        let used = Used::between(looks);
        let mut draft = Draft::default();
        let count = churn.counted as f64;
        draft.figure("connections", "connections", count, "", Better::Neither);
        let name = ("connections_per_s", "connections a second");
        draft.rate(name, churn.counted, churn.took(), true, &used);
        draft.latency("life", "life", "handshake to the server's end", &churn.life);
        draft.cost(("connection", "connection"), churn.counted, &used);
        draft.memory([before, looks[1]], 0);
        draft.generator(&churn.watch, &churn.life, false, &used);
        let failed: u64 = churn.failed.values().sum();
        draft.figure("failed", "failed", failed as f64, "", Better::Lower);
        for (why, &count) in &churn.failed {
            let line = format!("{} connections failed: {why}", grouped(count));
            draft.verdict.faults.push(line);
        }
        if churn.turned_away > 0 {
            let count = grouped(churn.turned_away);
            let line =
                format!("the server turned {count} connections away: a rule, a limit or a secret");
            draft.verdict.invalid.push(line);
        }
        draft.judge(options, &churn.life);
        draft.slices(churn.slices);
        Ok(draft)
    }
}
