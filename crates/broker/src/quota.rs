//! The hook that a quota manager takes before a request is routed.
//!
//! No quota is enforced in this release; [`Unlimited`] lets everything through at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::request::RequestContext;

/// Slows a client down before its request is taken up.
///
/// Apache Kafka mutes the channel of a client over its quota; delaying the next request has the same effect
/// on the wire.
pub(crate) trait Quotas: Send + Sync + fmt::Debug + 'static {
    /// Returns when the request may go on.
    fn admit<'a>(
        &'a self,
        context: &'a RequestContext,
        request_bytes: usize,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// No quota.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unlimited;

impl Quotas for Unlimited {
    fn admit<'a>(
        &'a self,
        _: &'a RequestContext,
        _: usize,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }
}
