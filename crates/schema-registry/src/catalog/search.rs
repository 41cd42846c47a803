//! Searching entities: by words, by the beginning of an attribute, by tag and type.
//!
//! Nothing is indexed but the types and fields of schemas, which are kept as they were found; a search goes through the entities of the
//! types it asks for. Without an order it ends with the last entity of its page.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::cluster::Topics;
use super::definitions::with_sub_types;
use super::entity::{self, Entity};
use super::error::CatalogError;
use super::model::{EntityId, EntityType, Overlay};
use super::{Catalog, Found};
use crate::error::RegistryError;
use crate::service::Registry;

/// How many entities a page has where nothing is said, as Confluent's catalog has it.
pub const LIMIT_DEFAULT: usize = 100;

/// How many entities a page has at most, as in Confluent's API.
pub const LIMIT_MAX: usize = 500;

/// How many entities may be passed over.
pub const OFFSET_MAX: usize = 1_000_000;

/// How many may be passed over that have to be put in order.
pub const ORDERED_OFFSET_MAX: usize = 10_000;

/// How many searches run at once; others wait.
pub(super) const AT_ONCE_MAX: usize = 4;

/// Characters of a query and of each other parameter.
const TEXT_CHARS_MAX: usize = 8_192;

/// Words of a query, and attributes.
const TERMS_MAX: usize = 32;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words that all have to be found; `*` and `?` are wildcards in them.
    pub query: Option<String>,
    /// Types by name; none: all.
    pub types: Vec<String>,
    /// Attributes with the beginning of their value; all have to be so.
    pub prefixes: Vec<(String, String)>,
    /// A tag, or one below it.
    pub tag: Option<String>,
    /// The attribute to order by; without one, by type and name.
    pub sort_by: Option<String>,
    /// The greatest first.
    pub descending: bool,
    /// Also what is soft deleted, or gone and still has something set on it.
    pub deleted: bool,
    /// At most so many.
    pub limit: usize,
    /// After so many.
    pub offset: usize,
}

impl Catalog {
    /// The entities that a search finds.
    ///
    /// # Errors
    /// 4000026 for parameters out of bounds, 4000020 for a type that there is not, 50001 when no broker says which topics there are.
    pub async fn search(self: &Arc<Self>, search: Search) -> Result<Vec<Found>, RegistryError> {
        check(&search)?;
        let types = types(&search)?;
        let topics = match types.contains(&EntityType::Topic) {
            true => self.all_topics().await?,
            false => Topics::default(),
        };
        // Never closed, so there is a permit.
        let permit = Arc::clone(&self.searches).acquire_owned().await;
        let catalog = Arc::clone(self);
        let run = move |registry: &Registry| {
            let _permit = permit;
            let mut hits = Hits::new(&catalog, &search);
            catalog.visit(registry, &types, &topics, &mut hits);
            Ok(hits.into_page())
        };
        self.registry.aside(run).await
    }

    /// Shows every entity of some types, in the order of type and name, until enough are found.
    fn visit(
        &self,
        registry: &Registry,
        types: &[EntityType],
        topics: &Topics,
        hits: &mut Hits<'_>,
    ) {
        let (versions, schemas) = (OnceCell::new(), OnceCell::new());
        let versions = || versions.get_or_init(|| entity::version_rows(&registry.state()));
        for entity_type in types {
            match entity_type {
                EntityType::Cluster => hits.take(self.names.cluster()),
                EntityType::Topic => {
                    let mut topics = topics.values().cloned();
                    while let Some(topic) = topics.next().filter(|_| !hits.is_full()) {
                        hits.take(self.names.topic(topic));
                    }
                }
                EntityType::SubjectVersion => {
                    let mut versions = versions().iter();
                    while let Some((subject, number, row)) =
                        versions.next().filter(|_| !hits.is_full())
                    {
                        hits.take(self.names.version(subject, *number, row.clone()));
                    }
                }
                EntityType::Schema | EntityType::Record | EntityType::Field => {
                    let rows = schemas.get_or_init(|| {
                        let rows = entity::schema_rows(versions());
                        self.outlines.prune(&rows);
                        rows
                    });
                    self.visit_schemas(registry, *entity_type, rows, hits);
                }
            }
            if hits.search.deleted && !hits.is_full() {
                hits.take_gone(self, *entity_type);
            }
        }
    }

    fn visit_schemas(
        &self,
        registry: &Registry,
        entity_type: EntityType,
        rows: &[entity::Row],
        hits: &mut Hits<'_>,
    ) {
        for row in rows {
            if hits.is_full() {
                return;
            }
            if row.is_deleted && !hits.search.deleted {
                continue;
            }
            if entity_type == EntityType::Schema {
                hits.take(self.names.schema(row.clone()));
                continue;
            }
            let wants_field = entity_type == EntityType::Field;
            let outline = self.outlines.of(registry, row);
            let fitting = outline
                .iter()
                .filter(|found| found.is_field() == wants_field);
            for found in fitting {
                hits.take(self.names.within(row, found));
            }
        }
    }
}

fn check(search: &Search) -> Result<(), CatalogError> {
    let texts = search
        .query
        .iter()
        .chain(&search.tag)
        .chain(&search.sort_by);
    let texts = texts.chain(&search.types);
    let pairs = search
        .prefixes
        .iter()
        .flat_map(|(name, prefix)| [name, prefix]);
    if texts
        .chain(pairs)
        .any(|text| text.chars().count() > TEXT_CHARS_MAX)
    {
        let message = format!("a parameter is longer than {TEXT_CHARS_MAX} characters");
        return Err(CatalogError::invalid_parameters(message));
    }
    if search.prefixes.len() > TERMS_MAX || search.types.len() > TERMS_MAX {
        let message = format!("more than {TERMS_MAX} types or attributes");
        return Err(CatalogError::invalid_parameters(message));
    }
    if search.limit > LIMIT_MAX {
        return Err(CatalogError::invalid_parameters(format!(
            "limit is {}, at most it is {LIMIT_MAX}",
            search.limit
        )));
    }
    let offset_max = match search.sort_by.is_some() || search.descending {
        true => ORDERED_OFFSET_MAX,
        false => OFFSET_MAX,
    };
    if search.offset > offset_max {
        return Err(CatalogError::invalid_parameters(format!(
            "offset is {}, at most it is {offset_max}",
            search.offset
        )));
    }
    Ok(())
}

/// The types to look through, in their order.
fn types(search: &Search) -> Result<Vec<EntityType>, CatalogError> {
    let mut wanted = BTreeSet::new();
    for name in &search.types {
        if name == EntityType::ROOT {
            wanted.extend(EntityType::ALL);
        } else {
            wanted.insert(super::entity_type(name)?);
        }
    }
    if search.types.is_empty() {
        wanted.extend(EntityType::ALL);
    }
    Ok(wanted.into_iter().collect())
}

/// What was found so far.
struct Hits<'a> {
    catalog: &'a Catalog,
    search: &'a Search,
    terms: Vec<Term>,
    tags: Option<BTreeSet<String>>,
    found: Vec<Found>,
    /// How many were found that are before the page, where they come in order.
    passed: usize,
    /// Entities on which something is set and that are there, for those that are not.
    seen: BTreeSet<EntityId>,
}

impl<'a> Hits<'a> {
    fn new(catalog: &'a Catalog, search: &'a Search) -> Self {
        let state = catalog.state();
        let tags = search.tag.as_ref().filter(|tag| !tag.is_empty());
        Self {
            catalog,
            search,
            terms: terms(search.query.as_deref().unwrap_or_default()),
            tags: tags.map(|tag| with_sub_types(&state, tag)),
            found: Vec::new(),
            passed: 0,
            seen: BTreeSet::new(),
        }
    }

    fn is_ordered(&self) -> bool {
        self.search.sort_by.is_some() || self.search.descending
    }

    /// Whether no further entity can be on the page.
    fn is_full(&self) -> bool {
        !self.is_ordered() && self.found.len() >= self.search.limit
    }

    fn take(&mut self, entity: Entity) {
        if self.is_full() {
            return;
        }
        let overlay = self.catalog.state().overlay(&entity.id).cloned();
        if overlay.is_some() && self.search.deleted {
            self.seen.insert(entity.id.clone());
        }
        let is_wanted = self.search.deleted || !entity.is_deleted;
        if !is_wanted || !self.fits(&entity, overlay.as_ref()) {
            return;
        }
        if !self.is_ordered() && self.passed < self.search.offset {
            self.passed += 1;
            return;
        }
        let overlay = overlay.unwrap_or_default();
        self.found.push(Found { entity, overlay });
        self.cut();
    }

    /// What is set on entities of a type that are not there any more.
    fn take_gone(&mut self, catalog: &Catalog, entity_type: EntityType) {
        let gone: Vec<EntityId> = {
            let state = catalog.state();
            let of_type = state.overlays().map(|(id, _)| id);
            of_type
                .filter(|id| id.entity_type == entity_type && !self.seen.contains(*id))
                .cloned()
                .collect()
        };
        for id in gone {
            self.take(catalog.names.gone(&id));
        }
    }

    fn fits(&self, entity: &Entity, overlay: Option<&Overlay>) -> bool {
        let has_tag = self.tags.as_ref().is_none_or(|wanted| {
            let mut tags = entity.tag_names(overlay).into_iter();
            tags.any(|tag| wanted.contains(&tag))
        });
        has_tag && self.has_prefixes(entity, overlay) && self.has_terms(entity, overlay)
    }

    fn has_prefixes(&self, entity: &Entity, overlay: Option<&Overlay>) -> bool {
        self.search.prefixes.iter().all(|(name, prefix)| {
            let value = entity.attribute(name, overlay);
            value.is_some_and(|value| text_of(&value).starts_with(prefix.trim_end_matches('*')))
        })
    }

    fn has_terms(&self, entity: &Entity, overlay: Option<&Overlay>) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let mut texts = vec![entity.name.to_lowercase(), entity.id.name.to_lowercase()];
        if let Some(overlay) = overlay {
            let set = overlay.attributes.values().map(|text| text.to_lowercase());
            texts.extend(set);
            let business = overlay.business_metadata.values();
            let values = business.flat_map(|values| values.values());
            texts.extend(values.map(|value| text_of(value).to_lowercase()));
            let of_tags = overlay
                .tags
                .values()
                .flat_map(|tag| tag.attributes.values());
            texts.extend(of_tags.map(|value| text_of(value).to_lowercase()));
        }
        self.terms
            .iter()
            .all(|term| texts.iter().any(|text| term.is_in(text)))
    }

    /// Keeps no more in order than the page and what is before it need.
    fn cut(&mut self) {
        let wanted = self.search.offset.saturating_add(self.search.limit);
        if self.is_ordered() && self.found.len() >= wanted.saturating_mul(2).max(LIMIT_MAX) {
            self.sort();
            self.found.truncate(wanted);
        }
    }

    fn sort(&mut self) {
        let by = self.search.sort_by.as_deref().unwrap_or("qualifiedName");
        let descending = self.search.descending;
        self.found.sort_by_cached_key(|found| SortKey {
            value: found.entity.attribute(by, Some(&found.overlay)),
            descending,
            id: found.entity.id.clone(),
        });
    }

    fn into_page(mut self) -> Vec<Found> {
        if !self.is_ordered() {
            return self.found;
        }
        self.sort();
        let (offset, limit) = (self.search.offset, self.search.limit);
        self.found.into_iter().skip(offset).take(limit).collect()
    }
}

/// By an attribute, those without it last; else by type and name.
#[derive(Debug, PartialEq)]
struct SortKey {
    value: Option<Value>,
    descending: bool,
    id: EntityId,
}

impl Eq for SortKey {}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = match (&self.value, &other.value) {
            (Some(a), Some(b)) if self.descending => compare(b, a),
            (Some(a), Some(b)) => compare(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_value.then_with(|| self.id.cmp(&other.id))
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => text_of(a).cmp(&text_of(b)),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A word of a query.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    /// Somewhere in a text.
    Word(String),
    /// A whole text, or a word of one.
    Pattern(Vec<char>),
}

impl Term {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => text.contains(word.as_str()),
            Self::Pattern(pattern) => {
                let mut words =
                    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
                fits(pattern, text) || words.any(|word| fits(pattern, word))
            }
        }
    }
}

fn terms(query: &str) -> Vec<Term> {
    let words = query
        .split_whitespace()
        .map(|word| word.trim_matches('"').to_lowercase());
    words
        .filter(|word| !word.is_empty())
        .take(TERMS_MAX)
        .map(|word| match word.contains(['*', '?']) {
            true => Term::Pattern(word.chars().collect()),
            false => Term::Word(word),
        })
        .collect()
}

/// Whether a pattern with `*` and `?` means a text.
fn fits(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    // Where the last `*` was, and how much of the text it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(sign) if *sign == '?' || sign == letter => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    at = place + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|sign| *sign == '*')
}

#[cfg(test)]
pub(super) fn matches(query: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    terms(query).iter().all(|term| term.is_in(&text))
}
