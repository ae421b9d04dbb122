//! Profiles of a running program, as its clients get them.

mod bad_company;
mod client;
mod memory;
mod metrics;
mod profiles;
mod trouble;
mod who_may_ask;
