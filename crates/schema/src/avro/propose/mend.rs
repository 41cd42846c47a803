//! Mends a new schema so that it fits an old one, type by type.
//!
//! Types of the old schema that are kept are copied into the new one's model; a type that has its name there already
//! stands for it. Each alteration is told once.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use crate::avro::compare::promotes;
use crate::avro::model::{Field, Kind, Model, Name, Named, Primitive, Props, Record, Type, TypeId};
use crate::avro::names::is_valid_default;
use crate::compatibility::CompatibilityLevel;
use crate::limits::DEPTH_MAX;
use crate::propose::Alteration;

/// Makes `model` one that may follow `old` at that level, as far as it knows how.
pub(super) fn mend(
    model: &mut Model,
    old: &Model,
    level: CompatibilityLevel,
    out: &mut Vec<Alteration>,
) {
    let mut mending = Mending {
        old,
        is_backward: level.is_backward(),
        is_forward: level.is_forward(),
        seen: HashSet::new(),
        imported: HashMap::new(),
        names: named_types(model),
        out,
    };
    let root = mending.pair(model, model.root, old.root, "", 0);
    model.root = root;
}

struct Mending<'a> {
    old: &'a Model,
    /// The new schema must read the old one's data.
    is_backward: bool,
    /// The old schema must read the new one's data.
    is_forward: bool,
    seen: HashSet<(TypeId, TypeId)>,
    /// Types of the old schema that the new one has now.
    imported: HashMap<TypeId, TypeId>,
    /// The named types that the new schema uses.
    names: HashMap<String, TypeId>,
    out: &'a mut Vec<Alteration>,
}

impl Mending<'_> {
    fn say(&mut self, path: &str, what: impl Into<String>, why: &str) {
        let alteration = Alteration {
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            what: what.into(),
            why: why.to_owned(),
        };
        if !self.out.contains(&alteration) {
            self.out.push(alteration);
        }
    }

    /// Makes the new type and the old one fit; the type to be used in the new one's place.
    fn pair(
        &mut self,
        model: &mut Model,
        new: TypeId,
        old: TypeId,
        path: &str,
        depth: usize,
    ) -> TypeId {
        if depth > DEPTH_MAX || !self.seen.insert((new, old)) {
            return new;
        }
        let depth = depth + 1;
        match (model.get(new).kind.clone(), &self.old.get(old).kind) {
            (Kind::Primitive(is), Kind::Primitive(was)) => {
                self.primitive(model, new, (is, *was), old, path)
            }
            (Kind::Array(is), Kind::Array(was)) => {
                let inner = self.pair(model, is, *was, &format!("{path}[]"), depth);
                set(model, new, Kind::Array(inner));
                new
            }
            (Kind::Map(is), Kind::Map(was)) => {
                let inner = self.pair(model, is, *was, &format!("{path}{{}}"), depth);
                set(model, new, Kind::Map(inner));
                new
            }
            (Kind::Record(_), Kind::Record(_)) => {
                self.names(model, new, old);
                self.record(model, new, old, depth);
                new
            }
            (Kind::Enum(_), Kind::Enum(_)) => {
                self.names(model, new, old);
                self.symbols(model, new, old);
                new
            }
            (Kind::Fixed(mut is), Kind::Fixed(was)) => {
                self.names(model, new, old);
                if is.size != was.size {
                    let full = is.named.name.full();
                    self.say(
                        &full,
                        format!("kept the size {}", was.size),
                        "a fixed type is read by its own size only",
                    );
                    is.size = was.size;
                    set(model, new, Kind::Fixed(is));
                }
                new
            }
            (Kind::Union(is), Kind::Union(was)) => self.unions(model, new, is, was, path, depth),
            (_, Kind::Union(was)) => self.was_union(model, new, old, was, path, depth),
            (Kind::Union(is), _) => self.became_union(model, new, is, old, path, depth),
            _ => self.mismatch(model, new, old, path),
        }
    }

    fn primitive(
        &mut self,
        model: &mut Model,
        new: TypeId,
        (is, was): (Primitive, Primitive),
        old: TypeId,
        path: &str,
    ) -> TypeId {
        let reads_old = !self.is_backward || promotes(was, is);
        let is_read = !self.is_forward || promotes(is, was);
        if reads_old && is_read {
            return new;
        }
        if promotes(is, was) {
            self.say(
                path,
                format!("kept {}, not {}", was.name(), is.name()),
                &format!("{} may hold what {} cannot", was.name(), is.name()),
            );
            return self.import(model, old);
        }
        self.mismatch(model, new, old, path)
    }

    /// Types that have nothing to do with each other: both, where only the new schema reads; else the old one.
    fn mismatch(&mut self, model: &mut Model, new: TypeId, old: TypeId, path: &str) -> TypeId {
        let (is, was) = (model.get(new).union_name(), self.old.get(old).union_name());
        let kept = self.import(model, old);
        if self.is_forward || is == was {
            self.say(
                path,
                format!("kept {was}, not {is}"),
                "readers with the old schema expect it",
            );
            return kept;
        }
        self.say(
            path,
            format!("made it a union of {was} and {is}"),
            &format!("data written before has {was} there"),
        );
        add(model, Kind::Union(vec![kept, new]), Props::new())
    }

    fn unions(
        &mut self,
        model: &mut Model,
        new: TypeId,
        mut is: Vec<TypeId>,
        was: &[TypeId],
        path: &str,
        depth: usize,
    ) -> TypeId {
        let mut matched = HashSet::new();
        for branch in was {
            match self.branch(model, &is, *branch) {
                Some(at) => {
                    matched.insert(at);
                    if let Some(slot) = is.get_mut(at) {
                        *slot = self.pair(model, *slot, *branch, path, depth);
                    }
                }
                None if self.is_backward => {
                    let name = self.old.get(*branch).union_name();
                    self.say(
                        path,
                        format!("kept {name} in the union"),
                        "data written before may have it",
                    );
                    is.push(self.import(model, *branch));
                    matched.insert(is.len() - 1);
                }
                None => {}
            }
        }
        if self.is_forward {
            let mut kept = Vec::new();
            for (at, branch) in is.iter().enumerate() {
                if matched.contains(&at) || self.is_read(model, *branch, was) {
                    kept.push(*branch);
                } else {
                    let name = model.get(*branch).union_name();
                    self.say(
                        path,
                        format!("left {name} out of the union"),
                        "readers with the old schema cannot take it",
                    );
                }
            }
            is = kept;
        }
        set(model, new, Kind::Union(is));
        new
    }

    /// The old type was a union and the new one is not.
    fn was_union(
        &mut self,
        model: &mut Model,
        new: TypeId,
        old: TypeId,
        was: &[TypeId],
        path: &str,
        depth: usize,
    ) -> TypeId {
        let mut branches = Vec::new();
        let mut has_new = false;
        for branch in was {
            if !has_new && self.branch(model, &[new], *branch).is_some() {
                branches.push(self.pair(model, new, *branch, path, depth));
                has_new = true;
            } else if self.is_backward {
                branches.push(self.import(model, *branch));
            }
        }
        if !has_new {
            if self.is_forward && !self.is_read(model, new, was) {
                self.say(
                    path,
                    "kept the union of before",
                    "readers with the old schema cannot take the new type",
                );
                return self.import(model, old);
            }
            branches.push(new);
        }
        if branches.len() == 1 {
            return branches.remove(0);
        }
        self.say(
            path,
            "kept the union",
            "data written before may have any of its branches",
        );
        add(model, Kind::Union(branches), Props::new())
    }

    /// The old type was no union and the new one is.
    fn became_union(
        &mut self,
        model: &mut Model,
        new: TypeId,
        mut is: Vec<TypeId>,
        old: TypeId,
        path: &str,
        depth: usize,
    ) -> TypeId {
        let name = self.old.get(old).union_name();
        let found = self.branch(model, &is, old);
        if self.is_forward {
            self.say(
                path,
                format!("kept {name}, not a union"),
                "readers with the old schema cannot take other branches",
            );
            return match found.and_then(|at| is.get(at).copied()) {
                Some(branch) => self.pair(model, branch, old, path, depth),
                None => self.import(model, old),
            };
        }
        match found.and_then(|at| is.get_mut(at)) {
            Some(slot) => *slot = self.pair(model, *slot, old, path, depth),
            None => {
                self.say(
                    path,
                    format!("kept {name} in the union"),
                    "data written before has it",
                );
                is.push(self.import(model, old));
            }
        }
        set(model, new, Kind::Union(is));
        new
    }

    /// The branch that is meant by the old type: of the same kind, named alike; or one that it is promoted to.
    fn branch(&self, model: &Model, is: &[TypeId], old: TypeId) -> Option<usize> {
        let was = self.old.get(old);
        let same = |branch: &TypeId| {
            let branch = model.get(*branch);
            branch.word() == was.word()
                && match (branch.named(), was.named()) {
                    (Some(is), Some(was)) => {
                        is.name.short == was.name.short || is.aliases.contains(&was.name)
                    }
                    _ => true,
                }
        };
        let promoted = |branch: &TypeId| match (&model.get(*branch).kind, &was.kind) {
            (Kind::Primitive(is), Kind::Primitive(was)) => promotes(*was, *is),
            _ => false,
        };
        is.iter().position(same).or_else(|| {
            let at = is.iter().position(promoted);
            at.filter(|_| !self.is_forward)
        })
    }

    /// Whether a branch of the old union reads the new type, by its outermost layer.
    fn is_read(&self, model: &Model, new: TypeId, was: &[TypeId]) -> bool {
        let is = model.get(new);
        was.iter().any(|branch| {
            let was = self.old.get(*branch);
            match (&is.kind, &was.kind) {
                (Kind::Primitive(is), Kind::Primitive(was)) => promotes(*is, *was),
                _ => match (is.named(), was.named()) {
                    (Some(is_named), Some(was_named)) => {
                        is.word() == was.word() && is_named.name.short == was_named.name.short
                    }
                    _ => is.word() == was.word(),
                },
            }
        })
    }

    fn names(&mut self, model: &mut Model, new: TypeId, old: TypeId) {
        let (Some(is), Some(was)) = (model.get(new).named(), self.old.get(old).named()) else {
            return;
        };
        let (is, was) = (is.clone(), was.clone());
        if is.name.short == was.name.short {
            return;
        }
        let full = is.name.full();
        let Some(named) = named_mut(model, new) else {
            return;
        };
        if self.is_forward {
            named.name = Name {
                namespace: named.name.namespace.clone(),
                short: was.name.short.clone(),
            };
            self.say(
                &full,
                format!("kept the name {}", was.name.short),
                "readers with the old schema know it by that",
            );
        } else if !is.aliases.contains(&was.name) {
            named.aliases.push(was.name.clone());
            self.say(
                &full,
                format!("added the alias {}", was.name.full()),
                "data written before has that name",
            );
        }
    }

    fn symbols(&mut self, model: &mut Model, new: TypeId, old: TypeId) {
        let (Kind::Enum(mut is), Kind::Enum(was)) =
            (model.get(new).kind.clone(), &self.old.get(old).kind)
        else {
            return;
        };
        let full = is.named.name.full();
        if self.is_backward && is.default.is_none() {
            for symbol in &was.symbols {
                if !is.symbols.contains(symbol) {
                    is.symbols.push(symbol.clone());
                    self.say(
                        &full,
                        format!("kept the symbol {symbol}"),
                        "data written before may have it",
                    );
                }
            }
        }
        if self.is_forward && was.default.is_none() {
            let known: HashSet<&String> = was.symbols.iter().collect();
            let (kept, left): (Vec<_>, Vec<_>) = is
                .symbols
                .drain(..)
                .partition(|symbol| known.contains(symbol));
            is.symbols = kept;
            for symbol in left {
                self.say(
                    &full,
                    format!("left the symbol {symbol} out"),
                    "readers with the old schema have no default for a symbol they do not know",
                );
            }
        }
        set(model, new, Kind::Enum(is));
    }

    fn record(&mut self, model: &mut Model, new: TypeId, old: TypeId, depth: usize) {
        let (Kind::Record(mut is), Kind::Record(was)) =
            (model.get(new).kind.clone(), &self.old.get(old).kind)
        else {
            return;
        };
        let full = is.named.name.full();
        let mut missing: Vec<usize> = Vec::new();
        for at in 0..is.fields.len() {
            let Some(field) = is.fields.get_mut(at) else {
                continue;
            };
            let path = format!("{full}.{}", field.name);
            let written = std::iter::once(&field.name)
                .chain(&field.aliases)
                .find_map(|name| was.field(name));
            match written {
                Some(written) => {
                    self.keep_name(field, written, &path);
                    let type_id = self.pair(model, field.type_id, written.type_id, &path, depth);
                    retype(model, field, type_id, written.default.as_ref());
                }
                None if self.is_backward && field.default.is_none() => missing.push(at),
                None => {}
            }
        }
        let removed: Vec<&Field> = was
            .fields
            .iter()
            .filter(|field| {
                let known = |is: &Field| is.name == field.name || is.aliases.contains(&field.name);
                !is.fields.iter().any(known)
            })
            .collect();
        let missing = self.renamed(model, &mut is, &missing, &removed, &full);
        for at in missing {
            if let Some(field) = is.fields.get_mut(at) {
                self.optional(model, field, &format!("{full}.{}", field.name.clone()));
            }
        }
        if self.is_forward {
            self.restore(model, &mut is, &removed, &full);
        }
        is.index = index(&is.fields);
        set(model, new, Kind::Record(is));
    }

    /// A field that got a new name, with the old one as its alias, keeps the old one where the old schema reads: it
    /// knows nothing of the alias.
    fn keep_name(&mut self, field: &mut Field, written: &Field, path: &str) {
        let is_known = field.name == written.name || written.aliases.contains(&field.name);
        if !self.is_forward || is_known || written.default.is_some() {
            return;
        }
        self.say(
            path,
            format!("kept the name {}", written.name),
            "readers with the old schema know it by that",
        );
        field.name.clone_from(&written.name);
        field.aliases.retain(|alias| *alias != written.name);
    }

    /// Where one field went and one of the same type came, it may be the same under a new name; the places of the
    /// fields that are new indeed.
    fn renamed(
        &mut self,
        model: &Model,
        is: &mut Record,
        missing: &[usize],
        removed: &[&Field],
        full: &str,
    ) -> Vec<usize> {
        let ([at], [gone], false) = (missing, removed, self.is_forward) else {
            return missing.to_vec();
        };
        let Some(field) = is.fields.get_mut(*at) else {
            return Vec::new();
        };
        let (came, went) = (model.get(field.type_id), self.old.get(gone.type_id));
        if came.union_name() != went.union_name() || came.word() == "union" {
            return missing.to_vec();
        }
        field.aliases.push(gone.name.clone());
        self.say(
            &format!("{full}.{}", field.name),
            format!("added the alias {}", gone.name),
            "it has the type of the field that went; if it is another one, give it a default instead",
        );
        Vec::new()
    }

    /// Makes a field one that data need not have: null, unless its type has a better default.
    fn optional(&mut self, model: &mut Model, field: &mut Field, path: &str) {
        let null = Kind::Primitive(Primitive::Null);
        let mut branches = match &model.get(field.type_id).kind {
            Kind::Union(branches) => branches.clone(),
            _ => vec![field.type_id],
        };
        let known = branches
            .iter()
            .position(|branch| model.get(*branch).kind == null);
        let null = match known {
            Some(at) => branches.remove(at),
            None => add(model, null, Props::new()),
        };
        branches.insert(0, null);
        field.type_id = if branches.len() == 1 {
            null
        } else {
            add(model, Kind::Union(branches), Props::new())
        };
        field.default = Some(Json::Null);
        self.say(
            path,
            "made it optional, with null as default",
            "data written before does not have it",
        );
    }

    /// Puts fields back that readers with the old schema need.
    fn restore(&mut self, model: &mut Model, is: &mut Record, removed: &[&Field], full: &str) {
        for gone in removed {
            if gone.default.is_some() {
                continue;
            }
            let mut field = (*gone).clone();
            field.type_id = self.import(model, gone.type_id);
            self.say(
                &format!("{full}.{}", field.name),
                "kept the field",
                "readers with the old schema have no default for it",
            );
            is.fields.push(field);
        }
    }

    /// The old type with all it needs, as a type of the new schema; one of the same name that is there already
    /// stands for it.
    fn import(&mut self, model: &mut Model, old: TypeId) -> TypeId {
        if let Some(known) = self.imported.get(&old) {
            return *known;
        }
        let found = self.old.get(old);
        if let Some(named) = found.named()
            && let Some(known) = self.names.get(&named.name.full())
        {
            return *known;
        }
        // Known before its parts are, because they may use it.
        let id = add(model, found.kind.clone(), found.props.clone());
        self.imported.insert(old, id);
        if let Some(named) = found.named() {
            self.names.insert(named.name.full(), id);
        }
        let kind = match found.kind.clone() {
            Kind::Array(inner) => Kind::Array(self.import(model, inner)),
            Kind::Map(inner) => Kind::Map(self.import(model, inner)),
            Kind::Union(branches) => Kind::Union(
                branches
                    .into_iter()
                    .map(|branch| self.import(model, branch))
                    .collect(),
            ),
            Kind::Record(mut record) => {
                for field in &mut record.fields {
                    field.type_id = self.import(model, field.type_id);
                }
                Kind::Record(record)
            }
            other => other,
        };
        set(model, id, kind);
        id
    }
}

/// The named types that the schema uses.
fn named_types(model: &Model) -> HashMap<String, TypeId> {
    let mut found = HashMap::new();
    let mut seen = HashSet::new();
    let mut stack = vec![model.root];
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        if let Some(named) = model.get(id).named() {
            found.insert(named.name.full(), id);
        }
        stack.extend(model.children(id));
    }
    found
}

/// Gives a field another type, and the default of before where its own does not fit any more.
fn retype(model: &Model, field: &mut Field, type_id: TypeId, before: Option<&Json>) {
    field.type_id = type_id;
    let fits = |value: &Json| is_valid_default(model, type_id, value);
    if field.default.as_ref().is_some_and(|value| !fits(value)) {
        field.default = before.filter(|value| fits(value)).cloned();
    }
}

fn add(model: &mut Model, kind: Kind, props: Props) -> TypeId {
    // As many types as both schemas have, which fit a u32 each within their limits of bytes.
    let id = TypeId(u32::try_from(model.types.len()).unwrap_or(u32::MAX));
    model.types.push(Type { kind, props });
    id
}

fn set(model: &mut Model, id: TypeId, kind: Kind) {
    if let Some(found) = model.types.get_mut(id.0 as usize) {
        found.kind = kind;
    }
}

fn named_mut(model: &mut Model, id: TypeId) -> Option<&mut Named> {
    match &mut model.types.get_mut(id.0 as usize)?.kind {
        Kind::Record(record) => Some(&mut record.named),
        Kind::Enum(enumeration) => Some(&mut enumeration.named),
        Kind::Fixed(fixed) => Some(&mut fixed.named),
        _ => None,
    }
}

fn index(fields: &[Field]) -> HashMap<String, usize> {
    fields
        .iter()
        .enumerate()
        .map(|(at, field)| (field.name.clone(), at))
        .collect()
}
