//! What is done without a request: instances nobody uses end, instances of others are let go.
//!
//! An instance whose proxy died is deleted by whichever proxy sees that its record has not been written for twice the
//! time that an idle one has; its owner writes it again in a third of that time while it is used, and every owner deletes
//! those that are idle.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use base::ErrorChain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::manager::{Consumers, Local, now_ms};
use super::membership;
use super::record::InstanceId;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much clocks of proxies may differ, and how long a takeover may take.
const GRACE_MS: i64 = 10_000;

/// What becomes of an instance of this proxy.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// The topic has it as another's.
    Lost,
    /// The topic does not have it as this proxy's, though it is.
    WrittenAgain,
    /// Nobody has used it for long enough.
    Idle,
}

/// Looks after the instances until `stop`, or until the proxy is gone.
pub(super) async fn run(
    consumers: Weak<Consumers>,
    mut applied: watch::Receiver<i64>,
    stop: CancellationToken,
) {
    let mut looked = Instant::now();
    loop {
        let is_time = tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => true,
            changed = applied.changed() => match changed {
                Ok(()) => looked.elapsed() >= INTERVAL,
                Err(_) => return,
            },
        };
        let Some(consumers) = consumers.upgrade() else {
            return;
        };
        let all: Vec<Arc<Local>> = consumers.local().values().map(Arc::clone).collect();
        for local in all {
            settle(&consumers, &local).await;
        }
        if is_time {
            looked = Instant::now();
            sweep(&consumers).await;
        }
    }
}

async fn settle(consumers: &Arc<Consumers>, local: &Arc<Local>) {
    if local.is_closing() {
        return;
    }
    match fate(consumers, local) {
        Fate::Stays => {}
        Fate::Lost => consumers.drop_lost(local).await,
        Fate::WrittenAgain => consumers.keep(local),
        Fate::Idle => {
            tracing::debug!(
                group_id = local.id.group,
                instance = local.id.instance,
                "an idle consumer instance ends"
            );
            if let Err(error) = consumers.delete(local).await {
                tracing::warn!(%error, "an idle consumer instance is not forgotten everywhere");
            }
        }
    }
}

fn fate(consumers: &Consumers, local: &Local) -> Fate {
    let Some(log) = consumers.open_log() else {
        return Fate::Stays;
    };
    let timeout = consumers.config.consumers.instance_timeout;
    let (is_idle, is_due) = {
        let used = local.used();
        let is_idle = used.running == 0 && used.last.elapsed() >= timeout;
        (
            is_idle,
            used.last > used.written && used.written.elapsed() >= timeout / 3,
        )
    };
    let state = log.state();
    let known = state.get(&local.id);
    let is_mine =
        known.is_some_and(|known| known.owner == consumers.owner && known.epoch == local.epoch);
    let is_anothers = known.is_some_and(|known| known.epoch >= local.epoch) && !is_mine;
    if local.instance.is_lost() || is_anothers {
        Fate::Lost
    } else if is_idle {
        Fate::Idle
    } else if !is_mine || state.is_contested(&local.id) || is_due {
        Fate::WrittenAgain
    } else {
        Fate::Stays
    }
}

/// Deletes instances whose owner is gone for good.
async fn sweep(consumers: &Arc<Consumers>) {
    let Some(log) = consumers.open_log() else {
        return;
    };
    let now = now_ms();
    let dead: Vec<InstanceId> = log
        .state()
        .iter()
        .filter(|(_, record)| record.owner != consumers.owner)
        .filter(|(_, record)| {
            let timeout_ms = i64::try_from(record.settings.instance_timeout_ms).unwrap_or(i64::MAX);
            let limit = timeout_ms.saturating_mul(2).saturating_add(GRACE_MS);
            now.saturating_sub(record.written_ms) > limit
        })
        .map(|(id, _)| id.clone())
        .collect();
    for id in dead {
        let begin = Instant::now();
        let gone = async {
            if let Ok(admin) = consumers.admin().await
                && let Err(error) = membership::leave(admin, &id).await
            {
                tracing::debug!(group_id = id.group, error = %ErrorChain(&error), "a member is left to its session timeout");
            }
            log.write(&id, None).await
        };
        if let Err(error) = gone.await {
            tracing::warn!(%error, elapsed_ms = begin.elapsed().as_millis(), "an instance of a dead proxy is not deleted");
            return;
        }
    }
}
