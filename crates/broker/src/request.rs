//! One request on its way through the broker: where it came from, and how its answer is put on the wire.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::Uuid;
use security::{KafkaPrincipal, Requester};
use wire::messages::{RequestHeader, ResponseHeader};
use wire::{ApiKey, ApiSpec, Chunk, EncodeError, Message, Reader, Writer};

use crate::listener::ListenerInfo;
use crate::quota::Mute;
use crate::share::sessions::SessionKey;

/// What Kafka says of an INVALID_REQUEST that it has no more to say of (`Errors.INVALID_REQUEST`).
pub(crate) const MALFORMED_REQUEST: &str = "This most likely occurs because of a request being malformed by the client \
    library or the message was sent to an incompatible broker. See the broker logs for more details.";

/// What stays the same over a connection's life.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// The peer.
    pub(crate) peer: SocketAddr,
    /// Its address as Java's `InetAddress.toString` prints it, such as `/127.0.0.1`: so members of groups show their host.
    pub(crate) client_host: String,
    /// The listener the peer connected to; Metadata answers with its advertised address.
    pub(crate) listener: Arc<ListenerInfo>,
    /// Who the peer proved to be.
    pub(crate) principal: KafkaPrincipal,
    /// `client_software_name` and `client_software_version` of ApiVersions (KIP-511).
    pub(crate) software: RwLock<Option<(String, String)>>,
    /// Until when its quotas hold it back.
    pub(crate) mute: Mute,
    /// The client instance that asked for telemetry subscriptions, or pushed, last (KIP-714).
    pub(crate) client_instance: Mutex<Option<Uuid>>,
    /// The share sessions that were opened on it, which end with it (KIP-932).
    pub(crate) share_sessions: Mutex<Vec<(SessionKey, u64)>>,
}

impl ConnectionInfo {
    /// Remembers a share session, in place of an earlier one of the same member.
    pub(crate) fn set_share_session(&self, key: SessionKey, id: u64) {
        let mut sessions = self
            .share_sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|(known, _)| *known != key);
        sessions.push((key, id));
    }

    /// The share sessions, which are forgotten.
    pub(crate) fn take_share_sessions(&self) -> Vec<(SessionKey, u64)> {
        std::mem::take(
            &mut *self
                .share_sessions
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Remembers the client instance.
    pub(crate) fn set_client_instance(&self, id: Uuid) {
        *self
            .client_instance
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// The client instance, which is forgotten.
    pub(crate) fn take_client_instance(&self) -> Option<Uuid> {
        self.client_instance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    /// The connection it came in on.
    pub(crate) connection: Arc<ConnectionInfo>,
    /// Which API.
    pub(crate) api_key: ApiKey,
    /// In which version.
    pub(crate) api_version: i16,
    /// What the answer repeats.
    pub(crate) correlation_id: i32,
    /// The client's name for itself; empty when it sent none.
    pub(crate) client_id: String,
}

impl RequestContext {
    /// The requester, as an authorizer wants it.
    pub(crate) fn requester(&self) -> Requester<'_> {
        Requester {
            principal: &self.connection.principal,
            host: self.connection.peer.ip(),
            listener: &self.connection.listener.name,
        }
    }

    /// The requester, as a group coordinator wants it.
    pub(crate) fn for_coordinator(&self) -> coordinator::RequestContext {
        coordinator::RequestContext {
            version: self.api_version,
            client_id: self.client_id.clone(),
            client_host: self.connection.client_host.clone(),
        }
    }

    /// Encodes an answer as a frame.
    ///
    /// # Errors
    /// The response holds what its version cannot say, which is a fault of the handler.
    pub(crate) fn encode<R: Message>(&self, response: &R) -> Result<Vec<Chunk>, EncodeError> {
        self.encode_as(response, self.api_version)
    }

    /// As [`RequestContext::encode`], in another version than the request's: ApiVersions answers a version
    /// it does not know in version 0.
    pub(crate) fn encode_as<R: Message>(
        &self,
        response: &R,
        version: i16,
    ) -> Result<Vec<Chunk>, EncodeError> {
        let mut writer = Writer::for_frame(128);
        let header = ResponseHeader {
            correlation_id: self.correlation_id,
        };
        // KIP-511: the header of ApiVersions is never flexible, so that any client can read it.
        let flexible = version >= R::FIRST_FLEXIBLE_VERSION && self.api_key != ApiKey::ApiVersions;
        header.encode(&mut writer, i16::from(flexible))?;
        response.encode(&mut writer, version)?;
        writer.finish_frame()
    }
}

/// What a request becomes.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A response frame.
    Send(Vec<Chunk>),
    /// No answer is due: Produce with `acks=0`.
    Nothing,
    /// The connection is to be closed, for the reason given.
    Close(String),
}

/// Reads the header of a request whose API is known.
///
/// # Errors
/// The message to log before the connection is closed.
pub(crate) fn read_header(reader: &mut Reader, spec: &ApiSpec) -> Result<RequestHeader, String> {
    // The version stands at bytes 2 and 3, ahead of what depends on it.
    let version = reader.peek_i16(2).map_err(|error| error.to_string())?;
    let flexible = version >= spec.first_flexible_version;
    RequestHeader::decode(reader, if flexible { 2 } else { 1 }).map_err(|error| error.to_string())
}
