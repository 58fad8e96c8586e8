//! Elections.

use crate::lock::{grant, revoke, wait_for_keys};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ResignRequest,
};
use tokio::task::JoinHandle;
use tonic::Code::Unknown;
use tonic::{Response, Status};

type Campaigning = JoinHandle<Result<Response<CampaignResponse>, Status>>;

fn campaign(client: &Client, lease: i64, value: &str) -> Campaigning {
    let mut service = client.election();
    let request = CampaignRequest {
        name: b"e".as_slice().into(),
        lease,
        value: value.to_owned().into(),
    };
    tokio::spawn(async move { service.campaign(request).await })
}

async fn elected(campaigning: Campaigning) -> LeaderKey {
    let response = campaigning.await.unwrap().unwrap().into_inner();
    response.leader.unwrap()
}

fn name() -> LeaderRequest {
    LeaderRequest {
        name: b"e".as_slice().into(),
    }
}

async fn proclaim(client: &Client, leader: &LeaderKey, value: &str) -> Result<i64, Status> {
    let request = ProclaimRequest {
        leader: Some(leader.clone()),
        value: value.to_owned().into(),
    };
    let proclaimed = client.election().proclaim(request).await?;
    Ok(proclaimed.into_inner().header.unwrap().revision)
}

async fn resign(client: &Client, leader: &LeaderKey) -> i64 {
    let request = ResignRequest {
        leader: Some(leader.clone()),
    };
    let resigned = client.election().resign(request).await.unwrap();
    resigned.into_inner().header.unwrap().revision
}

/// Key, value and the revision of the header, in short.
fn short(response: &LeaderResponse) -> (String, i64) {
    let kv = response.kv.clone().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let revision = response.header.unwrap().revision;
    (format!("{}={}", text(&kv.key), text(&kv.value)), revision)
}

async fn leader(client: &Client) -> (String, i64) {
    short(&client.election().leader(name()).await.unwrap().into_inner())
}

/// It gets its key, and everybody can ask for it.
pub async fn the_first_candidate_leads(client: &Client) {
    grant(client, 0x2a).await;
    let response = campaign(client, 0x2a, "a")
        .await
        .unwrap()
        .unwrap()
        .into_inner();
    assert_eq!(response.header.unwrap().revision, 2);
    let expected = LeaderKey {
        name: b"e".as_slice().into(),
        key: b"e/2a".as_slice().into(),
        rev: 2,
        lease: 0x2a,
    };
    assert_eq!(response.leader, Some(expected));
    assert_eq!(leader(client).await, ("e/2a=a".to_owned(), 2));
    let other = elected(campaign(client, 0x2a, "a")).await;
    assert_eq!(other.rev, 2);
}

/// With another value it proclaims that.
pub async fn a_leader_may_campaign_again(client: &Client) {
    grant(client, 1).await;
    let first = elected(campaign(client, 1, "a")).await;
    let again = elected(campaign(client, 1, "b")).await;
    assert_eq!(first, again);
    assert_eq!(leader(client).await, ("e/1=b".to_owned(), 3));
}

/// Then asking fails.
pub async fn nobody_leads_at_first(client: &Client) {
    refused(
        client.election().leader(name()).await,
        Unknown,
        "election: no leader",
    );
}

/// Others are refused, and so is one that led once.
pub async fn only_the_leader_proclaims(client: &Client) {
    grant(client, 1).await;
    let own = elected(campaign(client, 1, "a")).await;
    assert_eq!(proclaim(client, &own, "b").await.unwrap(), 3);
    assert_eq!(leader(client).await.0, "e/1=b");
    let wrong = LeaderKey {
        rev: 9,
        ..own.clone()
    };
    let text = "election: not leader";
    refused(proclaim(client, &wrong, "c").await, Unknown, text);
    assert_eq!(resign(client, &wrong).await, 3);
    assert_eq!(resign(client, &own).await, 4);
    refused(proclaim(client, &own, "c").await, Unknown, text);
}

/// The next candidate leads then; also if the leader's lease ends.
pub async fn resigning_makes_room(client: &Client) {
    for id in 1..=3 {
        grant(client, id).await;
    }
    let first = elected(campaign(client, 1, "a")).await;
    let second = campaign(client, 2, "b");
    wait_for_keys(client, "e/", 2).await;
    let third = campaign(client, 3, "c");
    wait_for_keys(client, "e/", 3).await;
    resign(client, &first).await;
    assert_eq!(elected(second).await.key, b"e/2".as_slice());
    assert!(!third.is_finished());
    revoke(client, 2).await;
    assert_eq!(elected(third).await.key, b"e/3".as_slice());
}

/// Requests of a leader must say who leads.
pub async fn a_leader_key_is_needed(client: &Client) {
    let text = "\"leader\" field must be provided";
    let mut election = client.election();
    refused(
        election.proclaim(ProclaimRequest::default()).await,
        Unknown,
        text,
    );
    refused(
        election.resign(ResignRequest::default()).await,
        Unknown,
        text,
    );
}

/// From nobody over proclamations to the next leader.
pub async fn leaders_are_observed(client: &Client) {
    for id in 1..=2 {
        grant(client, id).await;
    }
    // A server may answer the call only with its first message.
    let mut service = client.election();
    let observing = tokio::spawn(async move { service.observe(name()).await });
    let first = elected(campaign(client, 1, "a")).await;
    let mut observed = observing.await.unwrap().unwrap().into_inner();
    let mut next = async || short(&observed.message().await.unwrap().unwrap());
    assert_eq!(next().await, ("e/1=a".to_owned(), 2));
    proclaim(client, &first, "b").await.unwrap();
    client.put("e", "x").await.unwrap();
    client.put("e0", "x").await.unwrap();
    assert_eq!(next().await.0, "e/1=b");
    let second = campaign(client, 2, "c");
    wait_for_keys(client, "e/", 2).await;
    resign(client, &first).await;
    assert_eq!(next().await, ("e/2=c".to_owned(), 7));
    // Nobody for a while.
    resign(client, &elected(second).await).await;
    elected(campaign(client, 1, "d")).await;
    assert_eq!(next().await.0, "e/1=d");
}

/// A candidate that goes away does not stand in the way.
pub async fn an_abandoned_candidacy_ends(client: &Client) {
    for id in 1..=2 {
        grant(client, id).await;
    }
    elected(campaign(client, 1, "a")).await;
    let abandoned = campaign(client, 2, "b");
    wait_for_keys(client, "e/", 2).await;
    abandoned.abort();
    wait_for_keys(client, "e/", 1).await;
}
