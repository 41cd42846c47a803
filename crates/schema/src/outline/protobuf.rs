//! The places of a Protobuf schema: messages and their fields, enums and their values, services and their calls.

use super::{Places, Traits, join};
use crate::protobuf::ProtobufSchema;
use crate::protobuf::outline::Declaration;

pub(super) fn outline(schema: &ProtobufSchema, places: &mut Places) {
    for Declaration { path, traits } in schema.declarations() {
        let path = path
            .iter()
            .fold(String::new(), |path, part| join(&path, part));
        let traits: Traits = traits
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        places.add(super::or_root(&path), traits);
    }
}
