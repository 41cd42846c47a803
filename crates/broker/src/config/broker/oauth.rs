//! OAUTHBEARER and delegation tokens (`SaslConfigs`, `DelegationTokenManagerConfigs`).

use base::config::Rule;

const NO_SASLOAUTHBEARER: &str = "SASL/OAUTHBEARER is not part of this release";
const NO_DELEGATION_TOKENS: &str = "delegation tokens are not part of this release";

base::config_keys! {
    /// OAUTHBEARER.
    pub(super) static OAUTH: "OAUTHBEARER",
        "How tokens are checked, and how the broker gets one of its own." => {
        STRING "sasl.oauthbearer.jwks.endpoint.url" = null [inert(NO_SASLOAUTHBEARER)]
            "Where the keys that sign tokens are found: an https or file URL.";
        LONG "sasl.oauthbearer.jwks.endpoint.refresh.ms" = "3600000" [inert(NO_SASLOAUTHBEARER)]
            "How often these keys are read again, in milliseconds.";
        LONG "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = "100" [inert(NO_SASLOAUTHBEARER)]
            "How long a failed reading first waits before it is tried again, in milliseconds.";
        LONG "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = "10000" [
            inert(NO_SASLOAUTHBEARER),
        ]
            "The longest such wait, in milliseconds.";
        LIST "sasl.oauthbearer.expected.audience" = "" [
            list(true, false),
            inert(NO_SASLOAUTHBEARER),
        ]
            "The audiences a token has to name one of; empty for any.";
        STRING "sasl.oauthbearer.expected.issuer" = null [inert(NO_SASLOAUTHBEARER)]
            "The issuer a token has to name; null for any.";
        BOOLEAN "sasl.oauthbearer.allow.unverified.audience" = "false" [inert(NO_SASLOAUTHBEARER)]
            "Whether tokens are taken though no audience is expected.";
        BOOLEAN "sasl.oauthbearer.allow.unverified.issuer" = "false" [inert(NO_SASLOAUTHBEARER)]
            "Whether tokens are taken though no issuer is expected.";
        INT "sasl.oauthbearer.clock.skew.seconds" = "30" [inert(NO_SASLOAUTHBEARER)]
            "How far the clocks of issuer and broker may differ, in seconds.";
        STRING "sasl.oauthbearer.scope.claim.name" = "scope" [inert(NO_SASLOAUTHBEARER)]
            "The claim that holds a token's scopes.";
        STRING "sasl.oauthbearer.sub.claim.name" = "sub" [inert(NO_SASLOAUTHBEARER)]
            "The claim that holds a token's subject, which becomes the principal.";
        CLASS "sasl.oauthbearer.jwt.validator.class" =
            "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator" [
            inert(NO_SASLOAUTHBEARER),
        ]
            "The class that checks tokens.";
        CLASS "sasl.oauthbearer.jwt.retriever.class" =
            "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever" [
            inert(NO_SASLOAUTHBEARER),
        ]
            "The class that gets the broker's own token.";
        STRING "sasl.oauthbearer.token.endpoint.url" = null [inert(NO_SASLOAUTHBEARER)]
            "Where the broker gets a token of its own.";
        STRING "sasl.oauthbearer.scope" = null [inert(NO_SASLOAUTHBEARER)]
            "The scopes the broker asks for.";
        STRING "sasl.oauthbearer.client.credentials.client.id" = null [inert(NO_SASLOAUTHBEARER)]
            "The client id the broker asks with.";
        PASSWORD "sasl.oauthbearer.client.credentials.client.secret" = null [
            inert(NO_SASLOAUTHBEARER),
        ]
            "The secret that belongs to this client id.";
        STRING "sasl.oauthbearer.assertion.algorithm" = "RS256" [
            rule(Rule::OneOfIgnoreCase(&["ES256", "RS256"])),
            inert(NO_SASLOAUTHBEARER),
        ]
            "The algorithm the broker signs an assertion with.";
        STRING "sasl.oauthbearer.assertion.claim.aud" = null [inert(NO_SASLOAUTHBEARER)]
            "The audience of the broker's assertion.";
        INT "sasl.oauthbearer.assertion.claim.exp.seconds" = "300" [
            between(0, 86_400),
            inert(NO_SASLOAUTHBEARER),
        ]
            "How long the broker's assertion is valid, in seconds.";
        STRING "sasl.oauthbearer.assertion.claim.iss" = null [inert(NO_SASLOAUTHBEARER)]
            "The issuer of the broker's assertion.";
        BOOLEAN "sasl.oauthbearer.assertion.claim.jti.include" = "false" [inert(NO_SASLOAUTHBEARER)]
            "Whether each assertion of the broker carries a number of its own.";
        INT "sasl.oauthbearer.assertion.claim.nbf.seconds" = "60" [
            between(0, 3600),
            inert(NO_SASLOAUTHBEARER),
        ]
            "How long before its creation the broker's assertion is already valid, in seconds.";
        STRING "sasl.oauthbearer.assertion.claim.sub" = null [inert(NO_SASLOAUTHBEARER)]
            "The subject of the broker's assertion.";
        STRING "sasl.oauthbearer.assertion.file" = null [inert(NO_SASLOAUTHBEARER)]
            "A file that holds a finished assertion.";
        STRING "sasl.oauthbearer.assertion.private.key.file" = null [inert(NO_SASLOAUTHBEARER)]
            "The file of the key the broker signs assertions with.";
        PASSWORD "sasl.oauthbearer.assertion.private.key.passphrase" = null [
            inert(NO_SASLOAUTHBEARER),
        ]
            "The passphrase of this key.";
        STRING "sasl.oauthbearer.assertion.template.file" = null [inert(NO_SASLOAUTHBEARER)]
            "A file with further claims of the broker's assertion.";
    }
}

base::config_keys! {
    /// Delegation tokens.
    pub(super) static TOKENS: "Delegation tokens",
        "Tokens that clients hand on to their workers (KIP-48)." => {
        PASSWORD "delegation.token.secret.key" = null [inert(NO_DELEGATION_TOKENS)]
            "The secret that signs tokens, the same on each broker; null switches tokens off.";
        LONG "delegation.token.max.lifetime.ms" = "604800000" [
            at_least(1),
            inert(NO_DELEGATION_TOKENS),
        ]
            "How long a token lives at most, however often it is renewed, in milliseconds.";
        LONG "delegation.token.expiry.time.ms" = "86400000" [
            at_least(1),
            inert(NO_DELEGATION_TOKENS),
        ]
            "How long a token lives until it is renewed, in milliseconds.";
        LONG "delegation.token.expiry.check.interval.ms" = "3600000" [
            at_least(1),
            inert(NO_DELEGATION_TOKENS),
        ]
            "How often expired tokens are removed, in milliseconds.";
    }
}
