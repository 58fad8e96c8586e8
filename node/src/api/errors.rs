//! etcd's errors: codes and texts that clients match.

use crate::consensus::Failure;
use crate::consensus::membership::Refusal;
use kvorum_mvcc::Rejection;
use tonic::{Code, Status};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident: $code:ident, $text:literal;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name() -> Status { Status::new(Code::$code, $text) })*

        /// All of them, for the reference page and for tests.
        #[must_use]
        pub fn all() -> Vec<Status> {
            vec![$($name()),*]
        }
    };
}

errors! {
    /// A request without a key.
    empty_key: InvalidArgument, "etcdserver: key is not provided";
    /// See [`Rejection::KeyNotFound`].
    key_not_found: InvalidArgument, "etcdserver: key not found";
    /// `ignore_value` with a value.
    value_provided: InvalidArgument, "etcdserver: value is provided";
    /// `ignore_lease` with a lease.
    lease_provided: InvalidArgument, "etcdserver: lease is provided";
    /// More than `--max-txn-ops`.
    too_many_ops: InvalidArgument, "etcdserver: too many operations in txn request";
    /// Two writes of one transaction meet.
    duplicate_key: InvalidArgument, "etcdserver: duplicate key given in txn request";
    /// An unknown sort order or target.
    invalid_sort_option: InvalidArgument, "etcdserver: invalid sort option";
    /// More than `--max-request-bytes`.
    request_too_large: InvalidArgument, "etcdserver: request is too large";
    /// Below the compacted revision.
    compacted: OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    /// Above the current revision.
    future_revision: OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    /// The quota is used up.
    no_space: ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    /// Too much waits already.
    too_many_requests: ResourceExhausted, "etcdserver: too many requests";
    /// No such lease.
    lease_not_found: NotFound, "etcdserver: requested lease not found";
    /// A lease with that ID is there.
    lease_exists: FailedPrecondition, "etcdserver: lease already exists";
    /// Longer than etcd allows.
    lease_ttl_too_large: OutOfRange, "etcdserver: too large lease TTL";
    /// No leader, and the client does not want to wait.
    no_leader: Unavailable, "etcdserver: no leader";
    /// The leader changed while it worked on this.
    leader_changed: Unavailable, "etcdserver: leader changed";
    /// On the way out.
    stopped: Unavailable, "etcdserver: server stopped";
    /// Time ran out.
    timed_out: Unavailable, "etcdserver: request timed out";
    /// A streamed range sorted other than by key.
    stream_sorted: Unimplemented, "RangeStream does not support custom sort orders";
    /// A streamed range with revision filters.
    stream_filtered: Unimplemented, "RangeStream does not support revision filters";
    /// The corruption alarm is on.
    corrupt: DataLoss, "etcdserver: corrupt cluster";
    /// Not `major.minor` or `major.minor.patch`.
    wrong_downgrade_format: InvalidArgument, "etcdserver: wrong downgrade target version format";
    /// Not one minor version below the cluster's.
    invalid_downgrade_target: InvalidArgument, "etcdserver: invalid downgrade target version";
    /// See [`Rejection::DowngradeInProgress`].
    downgrade_in_progress: FailedPrecondition, "etcdserver: cluster has a downgrade job in progress";
    /// A member's peer URLs that are none.
    bad_member_urls: InvalidArgument, "etcdserver: given member URLs are invalid";
    /// See [`Refusal::NotFound`].
    member_not_found: NotFound, "etcdserver: member not found";
    /// See [`Refusal::IdExists`].
    member_exists: FailedPrecondition, "etcdserver: member ID already exist";
    /// See [`Refusal::UrlExists`].
    peer_url_exists: FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// See [`Refusal::NotEnoughStarted`].
    not_enough_started: FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    /// See [`Refusal::NotLearner`].
    member_not_learner: FailedPrecondition, "etcdserver: can only promote a learner member";
    /// See [`Refusal::NotInSync`].
    learner_not_ready: FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    /// See [`Refusal::TooManyLearners`].
    too_many_learners: FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// See [`Refusal::Unhealthy`].
    unhealthy: Unavailable, "etcdserver: unhealthy cluster";
    /// Somebody else leads, or nobody.
    not_leader: FailedPrecondition, "etcdserver: not leader";
    /// Unknown, dead, far behind, without a vote, or the leader itself.
    bad_transferee: FailedPrecondition, "etcdserver: bad leader transferee";
    /// The transfer was asked for and did not come to pass.
    transfer_timed_out: Unavailable, "etcdserver: request timed out, leader transfer took too long";
    /// A learner serves only little.
    not_for_learner: FailedPrecondition, "etcdserver: rpc not supported for learner";
    /// Authentication needs a user named root.
    root_user_missing: FailedPrecondition, "etcdserver: root user does not exist";
    /// … with the role of that name.
    root_role_missing: FailedPrecondition, "etcdserver: root user does not have root role";
    /// A user of that name is there.
    user_exists: FailedPrecondition, "etcdserver: user name already exists";
    /// No name, or nobody asks.
    user_name_empty: InvalidArgument, "etcdserver: user name is empty";
    /// No user of that name.
    user_not_found: FailedPrecondition, "etcdserver: user name not found";
    /// A role of that name is there.
    role_exists: FailedPrecondition, "etcdserver: role name already exists";
    /// No role of that name.
    role_not_found: FailedPrecondition, "etcdserver: role name not found";
    /// A role needs a name.
    role_name_empty: InvalidArgument, "etcdserver: role name is empty";
    /// Wrong name or password.
    auth_failed: InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    /// A grant of nothing.
    permission_not_given: InvalidArgument, "etcdserver: permission not given";
    /// The user may not do that.
    permission_denied: PermissionDenied, "etcdserver: permission denied";
    /// The user does not have that role.
    role_not_granted: FailedPrecondition, "etcdserver: role is not granted to the user";
    /// The role does not have that permission.
    permission_not_granted: FailedPrecondition, "etcdserver: permission is not granted to the role";
    /// Nobody needs a token.
    auth_not_enabled: FailedPrecondition, "etcdserver: authentication is not enabled";
    /// A token that is not known, or not any more.
    invalid_token: Unauthenticated, "etcdserver: invalid auth token";
    /// What would lock everybody out, or a permission on no range.
    invalid_auth_management: InvalidArgument, "etcdserver: invalid auth management";
    /// Permissions changed since the user was known: authenticate again.
    old_auth_revision: InvalidArgument, "etcdserver: revision of auth store is old";
    /// A user that is known by its certificate only.
    user_without_password: Unknown, "auth: authentication failed, password was given for no password user";
    /// This member has a public key only.
    cannot_sign: Unknown, "auth: token signing attempted with verify-only key";
    /// More than bcrypt looks at.
    password_too_long: Unknown, "bcrypt: password length exceeds 72 bytes";
    /// The health of a service that there is not.
    unknown_service: NotFound, "unknown service";
    /// The lease of a waiting lock ended.
    session_expired: Unknown, "mutex: session is expired";
    /// Nobody was elected.
    nobody_elected: Unknown, "election: no leader";
    /// Only the elected may do that.
    not_elected: Unknown, "election: not leader";
    /// A request of the elected that does not say which key makes them that.
    missing_leader: Unknown, "\"leader\" field must be provided";
}

/// For a request that did not go through.
#[must_use]
pub fn from_failure(failure: Failure) -> Status {
    match failure {
        Failure::NoLeader | Failure::TimedOut => timed_out(),
        Failure::LeaderLost => leader_changed(),
        Failure::TooMany => too_many_requests(),
        Failure::Stopped => stopped(),
    }
}

/// For a membership change that is refused.
#[must_use]
pub fn from_refusal(refusal: Refusal) -> Status {
    match refusal {
        Refusal::IdExists => member_exists(),
        Refusal::UrlExists => peer_url_exists(),
        Refusal::NotFound => member_not_found(),
        Refusal::NotEnoughStarted => not_enough_started(),
        Refusal::Unhealthy => unhealthy(),
        Refusal::NotInSync => learner_not_ready(),
        Refusal::NotLearner => member_not_learner(),
        Refusal::TooManyLearners => too_many_learners(),
    }
}

/// For a refusal of the state machine.
#[must_use]
pub fn from_rejection(rejection: Rejection) -> Status {
    match rejection {
        Rejection::KeyNotFound => key_not_found(),
        Rejection::Compacted => compacted(),
        Rejection::FutureRevision => future_revision(),
        Rejection::LeaseNotFound => lease_not_found(),
        Rejection::LeaseExists => lease_exists(),
        Rejection::LeaseTtlTooLarge => lease_ttl_too_large(),
        Rejection::DowngradeInProgress => downgrade_in_progress(),
        Rejection::RootUserMissing => root_user_missing(),
        Rejection::RootRoleMissing => root_role_missing(),
        Rejection::UserExists => user_exists(),
        Rejection::UserNameEmpty => user_name_empty(),
        Rejection::UserNotFound => user_not_found(),
        Rejection::RoleExists => role_exists(),
        Rejection::RoleNotFound => role_not_found(),
        Rejection::RoleNameEmpty => role_name_empty(),
        Rejection::PermissionDenied => permission_denied(),
        Rejection::RoleNotGranted => role_not_granted(),
        Rejection::PermissionNotGranted => permission_not_granted(),
        Rejection::AuthNotEnabled => auth_not_enabled(),
        Rejection::AuthOldRevision => old_auth_revision(),
        Rejection::InvalidAuthManagement => invalid_auth_management(),
        Rejection::PermissionNotGiven => permission_not_given(),
        Rejection::AuthFailed => auth_failed(),
        Rejection::NoMemberId => Status::failed_precondition(rejection.to_string()),
        Rejection::Unknown => {
            Status::unimplemented("a member of the cluster is too old for this request")
        }
    }
}

/// A failure within locking or electing: etcd keeps the text only. What can be
/// tried again stays as it is.
#[must_use]
pub fn relayed(status: Status) -> Status {
    match status.code() {
        Code::Unavailable => status,
        _ => Status::unknown(status.message()),
    }
}

/// For a failed read.
#[must_use]
pub fn from_read(error: &kvorum_mvcc::Error) -> Status {
    match error {
        kvorum_mvcc::Error::Rejected(rejection) => from_rejection(*rejection),
        kvorum_mvcc::Error::Io(error) => {
            tracing::error!(%error, "Reading the store failed");
            Status::data_loss(format!("the store of this member failed: {error}"))
        }
    }
}
