//! Who asks, and whether that is allowed. With authentication off this is one look at a flag.

use super::{Api, errors};
use crate::auth::Tokens;
use crate::tls::CertificateName;
use kvorum_mvcc::auth::{Asked, Caller};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

/// Where a token stands; the first counts.
const TOKEN_FIELDS: [&str; 2] = ["token", "authorization"];

/// What tells the sender of a request: what is done for it later is done in its name.
#[derive(Clone)]
pub(super) struct Origin {
    metadata: MetadataMap,
    extensions: Extensions,
}

impl Origin {
    /// Takes a request apart.
    pub(super) fn of<T>(request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        let origin = Self {
            metadata,
            extensions,
        };
        (origin, message)
    }

    /// Another request of the same sender.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.metadata.clone(), self.extensions.clone(), message)
    }
}

impl Api {
    /// Takes a request apart into who asks and what.
    ///
    /// # Errors
    /// If its token is no good.
    pub(super) async fn known<T>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let (origin, message) = Origin::of(request);
        Ok((self.caller(&origin).await?, message))
    }

    /// The same for what needs no more than a user, or root.
    ///
    /// # Errors
    /// If the sender may not.
    pub(super) async fn admitted<T>(
        &self,
        request: Request<T>,
        asked: Asked<'_>,
    ) -> Result<T, Status> {
        let (caller, message) = self.known(request).await?;
        self.permit(&caller, asked)?;
        Ok(message)
    }

    /// Who sent a request; nobody, while authentication is off.
    ///
    /// # Errors
    /// If the token is no good.
    pub(super) async fn caller(&self, origin: &Origin) -> Result<Caller, Status> {
        if !self.member.store().auth().enabled() {
            return Ok(Caller::default());
        }
        let token = TOKEN_FIELDS
            .iter()
            .find_map(|name| origin.metadata.get(*name));
        if let Some(token) = token {
            let token = token.to_str().map_err(|_| errors::invalid_token())?;
            let token = token.strip_prefix("Bearer ").unwrap_or(token);
            return self.user_of(token).await;
        }
        let certificate = origin.extensions.get::<CertificateName>();
        Ok(certificate.map_or_else(Caller::default, |name| Caller {
            user: name.0.clone(),
            revision: self.member.store().auth().revision(),
        }))
    }

    async fn user_of(&self, token: &str) -> Result<Caller, Status> {
        let auth = self.member.auth();
        if let Tokens::Simple(_) = auth.tokens {
            // Given by another member, it may not have come here yet.
            let index = crate::auth::token_index(token).ok_or_else(errors::invalid_token)?;
            let consensus = self.member.consensus();
            if consensus.applied_index() < index {
                let waited = consensus.wait_applied(index).await;
                waited.map_err(|_| errors::invalid_token())?;
            }
        }
        auth.user_of(self.member.store(), token)
            .ok_or_else(errors::invalid_token)
    }

    /// Whether a request is allowed now.
    ///
    /// # Errors
    /// Why not.
    #[allow(clippy::result_large_err, reason = "tonic's own error")]
    pub(super) fn permit(&self, caller: &Caller, asked: Asked<'_>) -> Result<(), Status> {
        let store = self.member.store();
        if !store.auth().enabled() {
            return Ok(());
        }
        store.permit(caller, asked).map_err(errors::from_rejection)
    }

    /// Whether permissions are still those under which a reader was allowed to read:
    /// asked after reading, since the change may have come in between.
    ///
    /// # Errors
    /// If they are not.
    #[allow(clippy::result_large_err, reason = "tonic's own error")]
    pub(super) fn still(&self, caller: &Caller) -> Result<(), Status> {
        let auth = self.member.store().auth();
        if caller.revision == 0 && !auth.enabled() || caller.revision == auth.revision() {
            Ok(())
        } else {
            Err(errors::old_auth_revision())
        }
    }
}
