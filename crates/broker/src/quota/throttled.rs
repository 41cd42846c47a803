//! `throttle_time_ms` of every response, under one name.

/// A response that can tell its client how long it is held back.
pub(crate) trait Throttled {
    /// What it says, in milliseconds.
    fn throttle_time_ms(&self) -> i32;

    /// Makes it say this; without effect on a response that has no such field, in any version.
    fn set_throttle_time_ms(&mut self, throttle_time_ms: i32);
}

macro_rules! throttled {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        $(throttled!(@ $response);)*
    };
    (@ DescribeQuorumResponse) => { throttled!(@without DescribeQuorumResponse); };
    (@ SaslHandshakeResponse) => { throttled!(@without SaslHandshakeResponse); };
    (@ SaslAuthenticateResponse) => { throttled!(@without SaslAuthenticateResponse); };
    (@ WriteTxnMarkersResponse) => { throttled!(@without WriteTxnMarkersResponse); };
    (@ InitializeShareGroupStateResponse) => {
        throttled!(@without InitializeShareGroupStateResponse);
    };
    (@ ReadShareGroupStateResponse) => { throttled!(@without ReadShareGroupStateResponse); };
    (@ WriteShareGroupStateResponse) => { throttled!(@without WriteShareGroupStateResponse); };
    (@ DeleteShareGroupStateResponse) => { throttled!(@without DeleteShareGroupStateResponse); };
    (@ ReadShareGroupStateSummaryResponse) => {
        throttled!(@without ReadShareGroupStateSummaryResponse);
    };
    (@without $response:ident) => {
        impl Throttled for wire::messages::$response {
            fn throttle_time_ms(&self) -> i32 {
                0
            }

            fn set_throttle_time_ms(&mut self, _: i32) {}
        }
    };
    (@ $response:ident) => {
        impl Throttled for wire::messages::$response {
            fn throttle_time_ms(&self) -> i32 {
                self.throttle_time_ms
            }

            fn set_throttle_time_ms(&mut self, throttle_time_ms: i32) {
                self.throttle_time_ms = throttle_time_ms;
            }
        }
    };
}
wire::for_each_api!(throttled);
