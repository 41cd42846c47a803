//! TLS and SASL (`BrokerSecurityConfigs`).

const LISTENERS_OF_THIS_RELEASE: &str = "listeners of this release speak PLAINTEXT";
const KEYS_AND_CERTIFICATES_ARE: &str =
    "keys and certificates are handled by rustls, which has no such choice";
const NO_JAVA: &str = "there is no Java class loader";
const NO_SASL: &str = "SASL is not part of this release";
const KERBEROS_IS_NOT_SUPPORTED: &str = "Kerberos is not supported";

base::config_keys! {
    /// TLS.
    pub(super) static SSL: "TLS",
        "Certificates and keys of listeners that speak SSL or SASL_SSL. Each key can be set for \
         one listener with the prefix `listener.name.<name>.`, and key and trust stores can only \
         be changed that way while the broker runs." => {
        STRING "ssl.client.auth" = "none" [
            one_of(&["required", "requested", "none"]),
            per_broker,
            inert(LISTENERS_OF_THIS_RELEASE),
        ]
            "Whether clients have to show a certificate: `required`, `requested` (checked if \
             shown) or `none`.";
        STRING "ssl.keystore.type" = "JKS" [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The format of the key store: PEM, PKCS12 or JKS.";
        STRING "ssl.keystore.location" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The file of the key store.";
        PASSWORD "ssl.keystore.password" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The password of the key store's file; PEM has none.";
        PASSWORD "ssl.key.password" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The password of the private key in the key store.";
        PASSWORD "ssl.keystore.key" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The private key itself, as PEM (PKCS#8), instead of a file.";
        PASSWORD "ssl.keystore.certificate.chain" = null [
            per_broker,
            inert(LISTENERS_OF_THIS_RELEASE),
        ]
            "The certificate chain itself, as PEM, instead of a file.";
        STRING "ssl.truststore.type" = "JKS" [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The format of the trust store: PEM, PKCS12 or JKS.";
        STRING "ssl.truststore.location" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The file of the trust store: whose certificates are believed.";
        PASSWORD "ssl.truststore.password" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The password of the trust store's file; it protects against changes, not against \
             reading.";
        PASSWORD "ssl.truststore.certificates" = null [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The trusted certificates themselves, as PEM, instead of a file.";
        LIST "ssl.enabled.protocols" = "TLSv1.2,TLSv1.3" [
            list(true, false),
            per_broker,
            inert(LISTENERS_OF_THIS_RELEASE),
        ]
            "The TLS versions on offer. TLSv1.2 is for old clients; anything older is unsafe.";
        STRING "ssl.protocol" = "TLSv1.3" [per_broker, inert(LISTENERS_OF_THIS_RELEASE)]
            "The TLS version the context is made for; `ssl.enabled.protocols` decides what is \
             spoken.";
        LIST "ssl.cipher.suites" = "" [
            list(true, false),
            per_broker,
            inert(LISTENERS_OF_THIS_RELEASE),
        ]
            "The cipher suites on offer, by their IANA names; empty for all safe ones.";
        STRING "ssl.principal.mapping.rules" = "DEFAULT" [inert(LISTENERS_OF_THIS_RELEASE)]
            "Rules that turn the distinguished name of a client's certificate into a principal, \
             tried in order; DEFAULT takes the name as it is.";
        STRING "ssl.endpoint.identification.algorithm" = "https" [
            per_broker,
            inert(LISTENERS_OF_THIS_RELEASE),
        ]
            "How the name in a server's certificate is checked by the broker as a client; empty \
             for not at all.";
        BOOLEAN "ssl.allow.dn.changes" = "false" [inert(LISTENERS_OF_THIS_RELEASE)]
            "Whether a new certificate of a listener may carry another distinguished name than the \
             one it replaces.";
        BOOLEAN "ssl.allow.san.changes" = "false" [inert(LISTENERS_OF_THIS_RELEASE)]
            "Whether a new certificate of a listener may leave out alternative names of the one it \
             replaces.";
        STRING "ssl.provider" = null [per_broker, inert(KEYS_AND_CERTIFICATES_ARE)]
            "The Java security provider; null for the default.";
        STRING "ssl.keymanager.algorithm" = "SunX509" [per_broker, inert(KEYS_AND_CERTIFICATES_ARE)]
            "The algorithm of Java's key manager.";
        STRING "ssl.trustmanager.algorithm" = "PKIX" [per_broker, inert(KEYS_AND_CERTIFICATES_ARE)]
            "The algorithm of Java's trust manager.";
        STRING "ssl.secure.random.implementation" = null [
            per_broker,
            inert(KEYS_AND_CERTIFICATES_ARE),
        ]
            "The source of random numbers; null for the default.";
        CLASS "ssl.engine.factory.class" = null [per_broker, inert(NO_JAVA)]
            "A class that makes TLS engines; null for the default.";
        STRING "security.providers" = null [inert(NO_JAVA)]
            "Java security providers to register.";
        CLASS "principal.builder.class" =
            "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder" [
            per_broker,
            differs("only Kafka's default builder is known; another one is refused."),
        ]
            "The class that builds the principal of a connection.";
    }
}

base::config_keys! {
    /// SASL.
    pub(super) static SASL: "SASL",
        "Authentication by password or token. Each key can be set for one listener and mechanism \
         with the prefix `listener.name.<name>.<mechanism>.`." => {
        LIST "sasl.enabled.mechanisms" = "GSSAPI" [list(true, false), per_broker, inert(NO_SASL)]
            "The mechanisms on offer: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER.";
        PASSWORD "sasl.jaas.config" = null [per_broker, inert(NO_SASL)]
            "The login modules with their options, in the syntax of JAAS. PLAIN finds its users \
             here.";
        STRING "sasl.mechanism.inter.broker.protocol" = "GSSAPI" [
            per_broker,
            inert("a single broker talks to no other"),
        ]
            "The mechanism brokers use among themselves.";
        STRING "sasl.mechanism.controller.protocol" = "GSSAPI" [
            inert("metadata is kept by a store and no controller listens"),
        ]
            "The mechanism brokers use towards controllers.";
        CLASS "sasl.server.callback.handler.class" = null [inert(NO_JAVA)]
            "A class that checks credentials.";
        CLASS "sasl.client.callback.handler.class" = null [inert(NO_JAVA)]
            "A class that supplies the broker's own credentials.";
        CLASS "sasl.login.class" = null [inert(NO_JAVA)]
            "A class that performs the broker's own login.";
        CLASS "sasl.login.callback.handler.class" = null [inert(NO_JAVA)]
            "A class that serves the broker's own login.";
        INT "sasl.server.max.receive.size" = "524288" [inert(NO_SASL)]
            "The most bytes a client may send before it is authenticated; more closes the \
             connection.";
        LONG "connections.max.reauth.ms" = "0" [inert(NO_SASL)]
            "How long a session lasts before its client has to authenticate again, in \
             milliseconds; 0 for as long as its connection.";
        STRING "sasl.kerberos.service.name" = null [per_broker, inert(KERBEROS_IS_NOT_SUPPORTED)]
            "The Kerberos name of the brokers.";
        STRING "sasl.kerberos.kinit.cmd" = "/usr/bin/kinit" [
            per_broker,
            inert(KERBEROS_IS_NOT_SUPPORTED),
        ]
            "The command that gets a Kerberos ticket.";
        DOUBLE "sasl.kerberos.ticket.renew.window.factor" = "0.8" [
            per_broker,
            inert(KERBEROS_IS_NOT_SUPPORTED),
        ]
            "The share of a ticket's life after which it is renewed.";
        DOUBLE "sasl.kerberos.ticket.renew.jitter" = "0.05" [
            per_broker,
            inert(KERBEROS_IS_NOT_SUPPORTED),
        ]
            "The share of random time added to it.";
        LONG "sasl.kerberos.min.time.before.relogin" = "60000" [
            per_broker,
            inert(KERBEROS_IS_NOT_SUPPORTED),
        ]
            "The least time between two renewals, in milliseconds.";
        LIST "sasl.kerberos.principal.to.local.rules" = "DEFAULT" [
            list(true, false),
            per_broker,
            inert(KERBEROS_IS_NOT_SUPPORTED),
        ]
            "Rules that turn Kerberos principals into short names, tried in order.";
        DOUBLE "sasl.login.refresh.window.factor" = "0.8" [per_broker, inert(NO_SASL)]
            "The share of a token's life after which the broker renews its own.";
        DOUBLE "sasl.login.refresh.window.jitter" = "0.05" [per_broker, inert(NO_SASL)]
            "The share of random time added to it.";
        SHORT "sasl.login.refresh.min.period.seconds" = "60" [per_broker, inert(NO_SASL)]
            "The least time the broker keeps a token of its own, in seconds.";
        SHORT "sasl.login.refresh.buffer.seconds" = "300" [per_broker, inert(NO_SASL)]
            "How long before its end a token of the broker's own is renewed at the latest, in \
             seconds.";
        INT "sasl.login.connect.timeout.ms" = null [inert(NO_SASL)]
            "How long the broker waits for a connection to its token provider, in milliseconds; \
             null for no limit.";
        INT "sasl.login.read.timeout.ms" = null [inert(NO_SASL)]
            "How long the broker waits for its token provider's answer, in milliseconds; null for \
             no limit.";
        LONG "sasl.login.retry.backoff.ms" = "100" [inert(NO_SASL)]
            "How long the broker first waits before it asks its token provider again, in \
             milliseconds.";
        LONG "sasl.login.retry.backoff.max.ms" = "10000" [inert(NO_SASL)]
            "The longest such wait, in milliseconds.";
    }
}
