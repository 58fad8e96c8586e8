//! One look at one cluster: the stages in order, and when to look again.

mod invalid;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::runtime::controller::Action;
use kube::{Client, Resource};
use kvorum_api::{KvCluster, KvClusterStatus, OperationStatus};
use kvorum_plan::observed::UnixSeconds;
use kvorum_plan::steps::Recheck;
use kvorum_plan::{ClusterId, Plan, Step};

use crate::act::{Act, Applied, Outcome};
use crate::backoff::{Backoff, Ladder};
use crate::caches::{Caches, Guarded};
use crate::certificates::Keeper;
use crate::events::{Events, Note};
use crate::failpoint::Failpoint;
use crate::members::Connections;
use crate::metrics::{Looked, Metrics, Part};
use crate::observe::Eyes;
use crate::status::Look;
use crate::validate::{Invalid, ValidCluster, validate};
use crate::{limits, observe, publish, status};

/// What every look shares.
pub struct Context {
    /// To the API server.
    pub client: Client,
    /// What is known already.
    pub caches: Caches,
    /// What was written.
    pub applied: Applied,
    /// When to look again.
    pub backoff: Backoff,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Tells.
    pub events: Events,
    /// Certificates.
    pub keeper: Keeper,
    /// To members.
    pub connections: Connections,
    /// Dies.
    pub failpoint: Failpoint,
    /// For clusters that name no image.
    pub node_image: String,
    /// Which clusters this operator looks after.
    pub class: Option<String>,
}

impl Context {
    /// What looks are made with.
    pub(crate) fn eyes(&self) -> Eyes<'_> {
        Eyes {
            client: &self.client,
            caches: &self.caches,
            keeper: &self.keeper,
            connections: &self.connections,
        }
    }
}

/// The pace while something is expected that sends no event.
const SOON: Ladder = Ladder {
    first: limits::SOON_FIRST,
    slowest: limits::SOON_SLOWEST,
};
/// The pace while something is not as it should be.
const WATCHFUL: Ladder = Ladder {
    first: limits::WATCHFUL_FIRST,
    slowest: limits::WATCHFUL_SLOWEST,
};
/// The pace after failures.
const FAILURE: Ladder = Ladder {
    first: limits::FAILURE_FIRST,
    slowest: limits::FAILURE_SLOWEST,
};

/// Looks at one cluster. Never fails: a failure is logged, counted, told in the status, and tried again at
/// this cluster's own pace.
pub async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Action {
    let started = Instant::now();
    let looking = context.metrics.look();
    let uid = guarded.meta().uid.clone().unwrap_or_default();
    let look = look(&guarded, &context);
    let (looked, wait) = match tokio::time::timeout(limits::RECONCILE_DEADLINE, look).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            tracing::warn!(
                namespace = guarded.meta().namespace,
                cluster = guarded.meta().name,
                %error,
                "A look failed"
            );
            context.metrics.failed("LookFailed");
            (Looked::Error, wait(&context, &uid, FAILURE))
        }
        Err(_) => {
            context.metrics.failed("LookTimedOut");
            (Looked::Error, wait(&context, &uid, FAILURE))
        }
    };
    context
        .metrics
        .looked(looked, started.elapsed().as_secs_f64());
    drop(looking);
    Action::requeue(wait)
}

fn wait(context: &Context, uid: &str, ladder: Ladder) -> Duration {
    context.backoff.next(uid, ladder, rand::random())
}

async fn look(guarded: &Guarded, context: &Context) -> anyhow::Result<(Looked, Duration)> {
    let cluster = match &guarded.0 {
        Ok(cluster) => cluster,
        Err(unreadable) => {
            let text = format!(
                "This version of the operator cannot read the object, and leaves it alone: {}",
                unreadable.error
            );
            context.metrics.failed("UndecodableObject");
            let about = guarded.object_ref(&());
            let note = Note::warning("Read", "UndecodableObject", text);
            context.events.publish(&about, &note).await;
            return Ok((Looked::Error, limits::UNREADABLE_PAUSE));
        }
    };
    let looked = match check(cluster, context) {
        Ok(valid) => look_at(cluster, valid, context).await,
        Err(invalid) => Err(invalid.into()),
    };
    match looked.map_err(anyhow::Error::downcast::<Invalid>) {
        Ok(looked) => Ok(looked),
        Err(Ok(invalid)) => {
            invalid::say(cluster, &invalid, context).await?;
            Ok((Looked::Error, limits::INVALID_PAUSE))
        }
        Err(Err(error)) => Err(error),
    }
}

/// A cluster whose spec makes sense, to an operator that sees what this one sees.
pub(crate) fn check(cluster: &KvCluster, context: &Context) -> Result<ValidCluster, Invalid> {
    let scope = &context.caches.scope;
    let mut valid = validate(cluster, &context.node_image)?;
    scope.check(cluster, &valid)?;
    valid.sees_nodes = scope.sees_nodes();
    Ok(valid)
}

async fn look_at(
    cluster: &KvCluster,
    valid: ValidCluster,
    context: &Context,
) -> anyhow::Result<(Looked, Duration)> {
    let Context {
        client,
        caches,
        applied,
        failpoint,
        ..
    } = context;
    let fresh = fresh_cluster_id();
    let keeper = &context.keeper;
    let mut clock = Clock::start(&context.metrics);
    let sight = observe::observe(context.eyes(), cluster, &valid, fresh).await?;
    clock.observed(sight.asking);
    if sight.replaced {
        // Deleted, or created again: another look is on its way.
        return Ok((Looked::Success, limits::SOON_SLOWEST));
    }
    let now = unix_seconds();
    let transport = sight.transport.decide(valid.tls.is_some());
    let valid = &valid.talking(transport);
    let plan = kvorum_plan::plan(&sight.observed, &valid.spec, UnixSeconds(now));
    let act = Act {
        client,
        caches,
        applied,
        failpoint,
        cluster: valid,
        sight: &sight,
        keeper,
        now,
    };
    let outcome = act.run(&plan).await;
    clock.ended(Part::Act);
    log(valid, &plan, &outcome, context);
    count(&plan, &outcome, context);
    let status = status::status(&Look {
        cluster: valid,
        previous: &sight.status,
        observed: &sight.observed,
        plan: &plan,
        outcome: &outcome,
        certificates: sight.certificates.as_deref(),
        now,
    });
    if publish::write(&act, &status).await? {
        if let Some(ended) = ended(&sight.status, &status) {
            let seconds = now.saturating_sub(ended.since);
            #[allow(
                clippy::cast_precision_loss,
                reason = "seconds of an operation are few"
            )]
            context.metrics.operated(&ended.type_, seconds as f64);
        }
        let about = cluster.object_ref(&());
        for note in publish::notes(&sight.status, &status, outcome.reserved) {
            context.events.publish(&about, &note).await;
        }
    }
    let names = &valid.names;
    context
        .metrics
        .cluster(&names.namespace, &names.cluster, &publish::numbers(&status));
    clock.ended(Part::Publish);
    Ok(next(&plan, &outcome, valid, context))
}

/// Times the parts of a look.
struct Clock<'a> {
    metrics: &'a Metrics,
    began: Instant,
}

impl<'a> Clock<'a> {
    fn start(metrics: &'a Metrics) -> Self {
        let began = Instant::now();
        Self { metrics, began }
    }

    fn ended(&mut self, part: Part) {
        let began = std::mem::replace(&mut self.began, Instant::now());
        self.metrics.took(part, began.elapsed());
    }

    /// Like any other part, but for the time in which members were asked.
    fn observed(&mut self, asking: Duration) {
        self.began += asking;
        self.ended(Part::Observe);
        self.metrics.took(Part::Members, asking);
    }
}

/// How it went, and when to look again.
fn next(
    plan: &Plan,
    outcome: &Outcome,
    valid: &ValidCluster,
    context: &Context,
) -> (Looked, Duration) {
    let uid = &valid.uid;
    if let Some((_, error)) = &outcome.failure {
        // While a cluster is being born, members and objects appear every moment.
        let ladder = if error.is_transient() && plan.recheck == Recheck::Soon {
            SOON
        } else {
            FAILURE
        };
        return (Looked::Error, wait(context, uid, ladder));
    }
    if !outcome.changed.is_empty() {
        context.backoff.reset(uid);
    }
    match plan.recheck {
        Recheck::Soon => (Looked::RequeueAfter, wait(context, uid, SOON)),
        // What a latch has changed is seen by the next look.
        _ if outcome.latched.is_some() => (Looked::RequeueAfter, limits::SOON_FIRST),
        Recheck::Watchful => (Looked::RequeueAfter, wait(context, uid, WATCHFUL)),
        Recheck::Calm => {
            context.backoff.reset(uid);
            (Looked::Success, calm(rand::random()))
        }
    }
}

/// Spread by a tenth: what made everybody look at once must not do so for ever.
fn calm(chance: f64) -> Duration {
    limits::CALM.mul_f64(0.9 + 0.2 * chance)
}

fn log(valid: &ValidCluster, plan: &Plan, outcome: &Outcome, context: &Context) {
    let names = &valid.names;
    if !outcome.changed.is_empty() {
        tracing::info!(
            namespace = names.namespace,
            cluster = names.cluster,
            phase = ?plan.phase,
            steps = outcome.changed.join(" "),
            "Took steps"
        );
    }
    let initializes = plan
        .steps
        .iter()
        .any(|step| matches!(step, Step::Initialize { .. }));
    if initializes && outcome.changed.iter().any(|step| step == "initialize") {
        context.metrics.initialized();
    }
    for blocked in &plan.blocked {
        context.metrics.failed(blocked.reason.as_str());
    }
    if let Some((step, error)) = &outcome.failure {
        context.metrics.failed(error.reason());
        tracing::warn!(
            namespace = names.namespace,
            cluster = names.cluster,
            step,
            %error,
            "A step failed"
        );
    }
}

/// Counts what waits and what was replaced.
fn count(plan: &Plan, outcome: &Outcome, context: &Context) {
    let gated = plan
        .operation
        .as_ref()
        .and_then(|operation| operation.gate.as_ref());
    if let Some(gated) = gated {
        context.metrics.deferred(gated.gate);
    }
    context.metrics.replaced(outcome.replacements);
}

/// The operation that was under way and is not any more.
fn ended<'a>(old: &'a KvClusterStatus, new: &KvClusterStatus) -> Option<&'a OperationStatus> {
    let old = old.operation.as_ref()?;
    let goes_on = new
        .operation
        .as_ref()
        .is_some_and(|new| new.type_ == old.type_);
    (!goes_on).then_some(old)
}

/// Any, but zero.
pub(crate) fn fresh_cluster_id() -> ClusterId {
    loop {
        if let Some(id) = ClusterId::new(rand::random()) {
            return id;
        }
    }
}

/// The clock, in seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
