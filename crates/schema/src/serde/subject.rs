//! Under which subject a client registers and looks up schemas.
//!
//! The names and classes are Confluent's (`io.confluent.kafka.serializers.subject`).

/// How the subject of a record's schema is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SubjectNameStrategy {
    /// `topic-key`, `topic-value`.
    #[default]
    TopicName,
    /// The full name of the record's type.
    RecordName,
    /// `topic-` and the full name of the record's type.
    TopicRecordName,
    /// What is associated with the topic in the registry; where nothing is, [`SubjectNameStrategy::TopicName`].
    AssociatedName,
}

/// Which part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordPart {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl RecordPart {
    /// `key`, `value`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }
}

/// What a subject is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Key or value.
    pub part: RecordPart,
    /// The full name of the type ([`crate::Format::name`]), if it has one.
    pub record: Option<&'a str>,
    /// The subject that the registry associates with this part of the topic, if it was asked and there is one.
    pub associated: Option<&'a str>,
}

/// Why there is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// The type has no name.
    #[error(
        "the {part} of {topic} is of a type without a name, which {strategy} needs: give the type a name (JSON Schema: a title), or use TopicNameStrategy"
    )]
    NoRecordName {
        /// The topic.
        topic: String,
        /// `key` or `value`.
        part: &'static str,
        /// The strategy that needs it.
        strategy: &'static str,
    },
}

impl SubjectNameStrategy {
    /// All strategies.
    pub const ALL: [Self; 4] = [
        Self::TopicName,
        Self::RecordName,
        Self::TopicRecordName,
        Self::AssociatedName,
    ];

    /// The name of Confluent's class, without its package.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopicName => "TopicNameStrategy",
            Self::RecordName => "RecordNameStrategy",
            Self::TopicRecordName => "TopicRecordNameStrategy",
            Self::AssociatedName => "AssociatedNameStrategy",
        }
    }

    /// The strategy of that name: a class with or without package (`key.subject.name.strategy`), or as the REST API
    /// spells it (`TOPIC_NAME`); none if there is none.
    pub fn of(name: &str) -> Option<Self> {
        let class = name.rsplit('.').next().unwrap_or(name);
        Self::ALL.into_iter().find(|strategy| {
            let spelled = match strategy {
                Self::TopicName => "TOPIC_NAME",
                Self::RecordName => "RECORD_NAME",
                Self::TopicRecordName => "TOPIC_RECORD_NAME",
                Self::AssociatedName => "ASSOCIATED_NAME",
            };
            strategy.name() == class || spelled == name
        })
    }

    /// The subject.
    ///
    /// # Errors
    /// The type has no name, and the strategy goes by it.
    pub fn subject(self, named: &Named<'_>) -> Result<String, SubjectError> {
        let record = || {
            named.record.ok_or_else(|| SubjectError::NoRecordName {
                topic: named.topic.to_owned(),
                part: named.part.name(),
                strategy: self.name(),
            })
        };
        match (self, named.associated) {
            (Self::AssociatedName, Some(subject)) => Ok(subject.to_owned()),
            (Self::TopicName | Self::AssociatedName, _) => {
                Ok(format!("{}-{}", named.topic, named.part.name()))
            }
            (Self::RecordName, _) => Ok(record()?.to_owned()),
            (Self::TopicRecordName, _) => Ok(format!("{}-{}", named.topic, record()?)),
        }
    }
}

/// How the subject of an imported Protobuf file is named when a client registers it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReferenceSubjectStrategy {
    /// The path by which it is imported.
    #[default]
    Default,
    /// That path with dots for slashes and without `.proto`.
    Qualified,
}

impl ReferenceSubjectStrategy {
    /// The subject of the file that is imported as `path`.
    pub fn subject(self, path: &str) -> String {
        match self {
            Self::Default => path.to_owned(),
            Self::Qualified => path
                .strip_suffix(".proto")
                .unwrap_or(path)
                .replace('/', "."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Named<'static> = Named {
        topic: "orders",
        part: RecordPart::Value,
        record: Some("a.Order"),
        associated: None,
    };

    #[test]
    fn each_strategy_names_its_subject() {
        let subject = |strategy: SubjectNameStrategy| strategy.subject(&NAMED).unwrap();
        assert_eq!(subject(SubjectNameStrategy::TopicName), "orders-value");
        assert_eq!(subject(SubjectNameStrategy::RecordName), "a.Order");
        assert_eq!(
            subject(SubjectNameStrategy::TopicRecordName),
            "orders-a.Order"
        );
        assert_eq!(subject(SubjectNameStrategy::AssociatedName), "orders-value");
        let associated = Named {
            associated: Some("sales"),
            ..NAMED
        };
        assert_eq!(
            SubjectNameStrategy::AssociatedName
                .subject(&associated)
                .unwrap(),
            "sales"
        );
        let key = Named {
            part: RecordPart::Key,
            record: None,
            ..NAMED
        };
        assert_eq!(
            SubjectNameStrategy::TopicName.subject(&key).unwrap(),
            "orders-key"
        );
        let error = SubjectNameStrategy::RecordName.subject(&key).unwrap_err();
        assert!(error.to_string().contains("the key of orders"), "{error}");
    }

    #[test]
    fn a_strategy_is_found_by_its_class() {
        for strategy in SubjectNameStrategy::ALL {
            let class = format!("io.confluent.kafka.serializers.subject.{}", strategy.name());
            assert_eq!(SubjectNameStrategy::of(&class), Some(strategy));
            assert_eq!(SubjectNameStrategy::of(strategy.name()), Some(strategy));
        }
        assert_eq!(
            SubjectNameStrategy::of("TOPIC_RECORD_NAME"),
            Some(SubjectNameStrategy::TopicRecordName)
        );
        assert_eq!(SubjectNameStrategy::of("NoStrategy"), None);
    }

    #[test]
    fn references_are_named_by_their_path() {
        let path = "a/b/address.proto";
        assert_eq!(ReferenceSubjectStrategy::Default.subject(path), path);
        assert_eq!(
            ReferenceSubjectStrategy::Qualified.subject(path),
            "a.b.address"
        );
    }
}
