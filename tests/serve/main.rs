//! Profiles of a running program, as its clients and its receivers get them.

mod bad_company;
mod busy;
mod by_environment;
mod client;
mod forks;
mod memory;
mod metrics;
mod otlp;
mod profiles;
mod push;
mod receiver;
mod trouble;
mod who_may_ask;
