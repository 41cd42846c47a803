//! Where in a document a subschema is, made cheap: it is only spelled out when something is wrong there.

use std::fmt;
use std::rc::Rc;

/// A path from the root of a document.
#[derive(Debug, Clone)]
pub(super) struct Path(Rc<Step>);

#[derive(Debug)]
struct Step {
    before: Option<Path>,
    name: String,
}

impl Path {
    /// The root of the document of that name; the empty name is the schema's own text.
    pub(super) fn root(document: &str) -> Self {
        Self(Rc::new(Step {
            before: None,
            name: format!("{document}#"),
        }))
    }

    /// One step on.
    pub(super) fn join(&self, name: &str) -> Self {
        Self(Rc::new(Step {
            before: Some(self.clone()),
            name: name.to_owned(),
        }))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Vec::new();
        let mut at = Some(self);
        while let Some(Self(step)) = at {
            names.push(step.name.as_str());
            at = step.before.as_ref();
        }
        names.reverse();
        f.write_str(&names.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_spelled_from_the_root() {
        let path = Path::root("address.json").join("properties").join("zip");
        assert_eq!(path.to_string(), "address.json#/properties/zip");
        assert_eq!(Path::root("").to_string(), "#");
    }
}
