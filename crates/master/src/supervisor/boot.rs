//! Workers that take too long to load the app: they show where they are, and end.

use std::collections::BTreeSet;

use ferricorn_config::LogLevel;
use ferricorn_unix::signal::Kill;

use super::children::Life;
use super::progress::{STACK, kill};
use super::{Action, Millis, Supervisor, words};

impl Supervisor {
    /// Ends those that are not ready when `--boot-timeout` is over.
    pub(super) fn end_late(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let mut ended = Vec::new();
        let mut late_molds = BTreeSet::new();
        for child in self.children.iter_mut() {
            let pid = child.pid.unwrap_or_default();
            match child.life {
                Life::Asked if child.boot_is_over(now) => {
                    child.boot = None;
                    ended.push(child.clone());
                    let after = now - child.running_since;
                    if late_molds.insert(child.generation) {
                        actions.push(Action::EndMold { generation: child.generation, after });
                    }
                }
                Life::Booting if child.boot_is_over(now) => {
                    let line = format!(
                        "Worker (pid:{pid}) is not ready after {} (--boot-timeout), and is killed; this is where it is",
                        words::duration(now - child.running_since)
                    );
                    actions.push(Action::Say(LogLevel::Critical, line));
                    actions.push(Action::Kill { age: child.age, kill: Kill::Stack });
                    child.life = Life::Late { until: now + STACK };
                }
                Life::Late { until } if now >= until => {
                    actions.push(Action::TellStack { age: child.age });
                    kill(child, now, actions);
                    ended.push(child.clone());
                }
                _ => {}
            }
        }
        for child in ended {
            if let Some(trial) = self.trial_of(&child) {
                let limit = words::duration(trial.policy.boot);
                self.fail_reload(&format!("no worker was ready within {limit} (--boot-timeout)"), actions);
            } else if child.life != Life::Asked {
                self.backoff.failed(now);
            }
        }
    }
}
