//! The API as its clients see it: without a socket, and over real sockets what only a socket
//! can do.

mod auth;
mod auth_instances;
mod browsers;
mod client;
mod contacts;
mod control_retention;
mod crowds;
mod dead_letters;
mod description;
mod editors;
mod errors;
mod feed;
mod fixture;
mod hostile;
mod limits;
mod lists;
mod merges;
mod outages;
mod probes;
mod purge;
mod redis;
mod repeats;
mod samples;
mod schemas;
mod secrets;
mod sign_ins;
mod simulator;
mod simulator_writes;
mod sockets;
mod standing;
mod storm;
mod tls;
mod webhooks;
mod whole;
mod writes;
