//! Where a `$ref` leads: the schema's own text, its references, and the ids and anchors in all of them.
//!
//! A reference is found by the URI that it makes with the base URI around it (`$id`), or by its name as written.
//! Nothing is ever fetched: what neither the text nor its references define is an error, but for the meta-schemas
//! of the drafts, which everybody has.

use std::collections::HashMap;
use std::rc::Rc;

use super::dialect::Draft;
use super::node::Node;
use super::path::Path;
use super::uri;
use crate::error::SchemaError;

/// A schema's own text, or that of a reference.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// How others name it; empty for the schema's own text.
    pub(super) name: String,
    /// The text.
    pub(super) root: Node,
    /// The draft it follows.
    pub(super) draft: Draft,
}

/// A subschema with what has to be known to read it.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    /// The subschema.
    pub(super) node: &'a Node,
    /// The URI against which references in it are resolved.
    pub(super) base: Rc<str>,
    /// The draft of its document.
    pub(super) draft: Draft,
    /// For messages; only the document where an id or an anchor led here.
    pub(super) path: Path,
}

/// What a `$ref` means.
#[derive(Debug)]
pub(super) enum Target<'a> {
    /// A subschema of one of the documents.
    Site(Site<'a>),
    /// The meta-schema of a draft, by its URI.
    MetaSchema(String),
}

/// All documents of one schema, by the URIs, names and anchors in them.
#[derive(Debug)]
pub(super) struct Documents<'a> {
    resources: HashMap<String, Site<'a>>,
    anchors: HashMap<(Rc<str>, &'a str), Site<'a>>,
}

impl<'a> Documents<'a> {
    /// Of the schema's own text, which is the first, and its references.
    pub(super) fn new(documents: &'a [Document]) -> Self {
        let mut all = Self {
            resources: HashMap::new(),
            anchors: HashMap::new(),
        };
        let own_base = documents.first().map_or("", |own| {
            own.root
                .get(own.draft.id_keyword())
                .and_then(Node::text)
                .map_or("", |id| uri::split_fragment(id).0)
        });
        // References first: where two texts claim one URI, the schema's own is the one it means.
        for (index, document) in documents.iter().enumerate().rev() {
            let location = if index == 0 {
                String::new()
            } else {
                uri::resolve(own_base, &document.name)
            };
            let site = Site {
                node: &document.root,
                base: location.as_str().into(),
                draft: document.draft,
                path: Path::root(&document.name),
            };
            all.resources.insert(document.name.clone(), site.clone());
            all.resources.insert(location, site.clone());
            all.index(site);
        }
        all
    }

    /// The schema's own text.
    pub(super) fn root(&self) -> Option<Site<'a>> {
        self.resources.get("").map(|site| {
            let base = base_within(site.node, site.draft, &site.base);
            Site {
                base,
                ..site.clone()
            }
        })
    }

    /// Finds ids and anchors in a document.
    fn index(&mut self, root: Site<'a>) {
        let draft = root.draft;
        let mut to_do = vec![root];
        while let Some(mut site) = to_do.pop() {
            let Some(object) = site.node.object() else {
                continue;
            };
            let base = base_within(site.node, draft, &site.base);
            if base != site.base {
                site.base = Rc::clone(&base);
                self.resources.insert(base.to_string(), site.clone());
            }
            if let Some(anchor) = object
                .get(draft.id_keyword())
                .and_then(Node::text)
                .and_then(|id| id.strip_prefix('#'))
            {
                self.anchors
                    .insert((Rc::clone(&base), anchor), site.clone());
            }
            for keyword in ["$dynamicAnchor", "$anchor"] {
                if let Some(anchor) = object.get(keyword).and_then(Node::text) {
                    self.anchors
                        .insert((Rc::clone(&base), anchor), site.clone());
                }
            }
            for (name, value) in object.iter() {
                to_do.extend(subschemas(name, value).map(|node| Site {
                    node,
                    base: Rc::clone(&base),
                    draft,
                    path: site.path.clone(),
                }));
            }
        }
    }

    /// What `reference` means in `from`.
    ///
    /// # Errors
    /// [`SchemaError::Unresolved`].
    pub(super) fn resolve(
        &self,
        from: &Site<'a>,
        reference: &str,
    ) -> Result<Target<'a>, SchemaError> {
        let (address, fragment) = uri::split_fragment(reference);
        let absolute = uri::resolve(&from.base, address);
        let bare = address.strip_prefix("./").unwrap_or(address);
        let Some(resource) = self
            .resources
            .get(&absolute)
            .or_else(|| self.resources.get(address))
            .or_else(|| self.resources.get(bare))
        else {
            if absolute.contains("://json-schema.org/draft") {
                return Ok(Target::MetaSchema(absolute));
            }
            return Err(unresolved(from, reference));
        };
        let fragment = uri::decoded(fragment.unwrap_or_default());
        let site = if fragment.is_empty() {
            let base = base_within(resource.node, resource.draft, &resource.base);
            Some(Site {
                base,
                ..resource.clone()
            })
        } else if fragment.starts_with('/') {
            at_pointer(resource, &fragment)
        } else {
            let base = base_within(resource.node, resource.draft, &resource.base);
            self.anchors.get(&(base, fragment.as_str())).cloned()
        };
        site.map(Target::Site)
            .ok_or_else(|| unresolved(from, reference))
    }
}

/// The base URI inside a subschema whose own keyword may set one.
pub(super) fn base_within(node: &Node, draft: Draft, base: &Rc<str>) -> Rc<str> {
    match node.get(draft.id_keyword()).and_then(Node::text) {
        Some(id) if !id.is_empty() && !id.starts_with('#') => {
            uri::resolve(base, uri::split_fragment(id).0).into()
        }
        _ => Rc::clone(base),
    }
}

fn unresolved(from: &Site<'_>, reference: &str) -> SchemaError {
    SchemaError::Unresolved {
        format: "JSON",
        path: format!("{}/$ref", from.path),
        name: reference.to_owned(),
    }
}

/// The subschema that a JSON pointer names, with the base URI there.
fn at_pointer<'a>(resource: &Site<'a>, pointer: &str) -> Option<Site<'a>> {
    let mut site = resource.clone();
    site.base = base_within(site.node, site.draft, &site.base);
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let node = match site.node {
            Node::Object(object) => object.get(&segment)?,
            Node::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
        let base = base_within(node, site.draft, &site.base);
        site = Site {
            node,
            base,
            draft: site.draft,
            path: site.path.join(&segment),
        };
    }
    Some(site)
}

/// The values within a member of a schema that may be schemas themselves.
pub(super) fn subschemas<'a>(
    keyword: &str,
    value: &'a Node,
) -> Box<dyn Iterator<Item = &'a Node> + 'a> {
    match (keyword, value) {
        ("enum" | "const" | "default" | "examples" | "example", _) => Box::new(std::iter::empty()),
        (
            "properties" | "patternProperties" | "definitions" | "$defs" | "dependencies"
            | "dependentSchemas",
            Node::Object(object),
        ) => Box::new(object.iter().map(|(_, value)| value)),
        (_, Node::Object(_)) => Box::new(std::iter::once(value)),
        (_, Node::Array(items)) => Box::new(items.iter()),
        _ => Box::new(std::iter::empty()),
    }
}
