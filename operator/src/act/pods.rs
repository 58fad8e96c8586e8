//! Having a pod made anew: evicted where it is Ready, so that disruption budgets are asked, deleted where it
//! is not; always the very pod that was seen, and never by force.

use k8s_openapi::api::core::v1::Pod;
use kube::api::EvictParams;
use kvorum_plan::MemberId;

use super::{Act, ActError, gone, this_very};

impl Act<'_> {
    pub(super) async fn restart(&self, id: MemberId, evict: bool) -> Result<bool, ActError> {
        let names = &self.cluster.names;
        let name = names.pod(id);
        let Some(pod) = self.seen(&self.caches.pods, &name) else {
            return Ok(false);
        };
        // One that is deleted for being broken may have come up since it was seen.
        let delete = this_very(pod.as_ref(), !evict);
        let object = format!("Pod {name}");
        let api = self.api::<Pod>();
        tracing::info!(
            namespace = names.namespace,
            cluster = names.cluster,
            pod = name,
            evict,
            "Having a pod made anew"
        );
        if !evict {
            gone(object, api.delete(&name, &delete).await)?;
            return Ok(true);
        }
        let parameters = EvictParams {
            delete_options: Some(delete),
            ..EvictParams::default()
        };
        match api.evict(&name, &parameters).await {
            // A budget says not now.
            Err(kube::Error::Api(status)) if status.code == 429 => Err(ActError::OtherDisruption {
                object,
                message: status.message.clone(),
            }),
            evicted => {
                gone(object, evicted)?;
                Ok(true)
            }
        }
    }
}
