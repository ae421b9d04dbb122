//! Profiles of a running program, as its clients and its receivers get them.

mod bad_company;
mod client;
mod memory;
mod metrics;
mod profiles;
mod push;
mod receiver;
mod who_may_ask;
