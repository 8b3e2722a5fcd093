//! What turns the outside into work: HTTP requests here; buckets announce by themselves ([`crate::node::Announcer`]).

pub(crate) mod http;
