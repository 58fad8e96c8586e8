//! The replicated key-value server: etcd's v3 API over openraft.

pub mod addresses;
pub mod admin;
pub mod api;
pub mod args;
pub mod auth;
pub mod bootstrap;
pub mod config;
pub mod consensus;
pub mod exchange;
pub mod faultpoint;
pub mod gateway;
pub mod http;
pub mod integrity;
pub mod lessor;
pub mod limits;
pub mod member;
pub mod metrics;
pub mod peer;
pub mod run;
pub mod serve;
pub mod socket;
pub mod tls;
