//! Whole clusters: the shipped binary, real sockets, real files, real signals. Every
//! test starts a demo of its own, in its own directory and on its own ports.

mod acceptance;
mod adopt;
mod archive;
mod bad_input;
mod cascade;
mod changes;
mod clients;
mod databases;
mod demo;
mod differential;
mod drift;
mod dump;
mod durability;
mod failover;
mod load;
mod matrix;
mod members;
mod notify;
mod operate;
mod own_dump;
mod power;
mod roles;
mod sql;
mod visibility;
