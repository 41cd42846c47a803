//! The steps: a table of phrases, each with what it does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde_json::{Value, json};

use super::http::{self, Answer};

/// How a step went.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ran {
    /// As it should.
    Done,
    /// It is about what only another product has.
    Foreign,
}

type Action = fn(&mut World, &[&str], Option<&str>) -> Result<()>;

/// The phrases whose steps are read over, since they judge what is not the registry's answer.
const READ_OVER: &str = "the audit log should contain an event:";

/// What ends a scenario as another product's.
const FOREIGN: [&str; 4] = [
    "I import ",
    "the import should",
    "the Prometheus metric",
    "metric \"",
];

/// Phrases by their pattern: `S` stands for a text in quotes, `N` for a number.
const STEPS: &[(&str, Action)] = &[
    ("the schema registry is running", |_, _, _| Ok(())),
    ("no subjects exist", |_, _, _| Ok(())),
    ("I (GET|DELETE|POST|HEAD|PUT) S", |w, a, _| {
        w.call(a[0], a[1], None)
    }),
    ("I (POST|PUT|DELETE) S with body:", |w, a, t| {
        w.call(a[0], a[1], t)
    }),
    ("the global compatibility level is S", |w, a, _| {
        w.set("/config", "compatibility", a[0])
    }),
    ("I set the global compatibility level to S", |w, a, _| {
        w.put("/config", "compatibility", a[0])
    }),
    ("I set the global config to S", |w, a, _| {
        w.put("/config", "compatibility", a[0])
    }),
    ("I get the global config", |w, _, _| {
        w.call("GET", "/config", None)
    }),
    ("I delete the global config", |w, _, _| {
        w.call("DELETE", "/config", None)
    }),
    ("subject S has compatibility level S", |w, a, _| {
        w.set(&format!("/config/{}", a[0]), "compatibility", a[1])
    }),
    ("I set the config for subject S to S", |w, a, _| {
        w.put(&format!("/config/{}", a[0]), "compatibility", a[1])
    }),
    ("I get the config for subject S", |w, a, _| {
        w.call("GET", &format!("/config/{}", a[0]), None)
    }),
    ("I delete the config for subject S", |w, a, _| {
        w.call("DELETE", &format!("/config/{}", a[0]), None)
    }),
    ("the global mode is S", |w, a, _| {
        w.set("/mode?force=true", "mode", a[0])
    }),
    ("I set the global mode to S", |w, a, _| {
        w.put("/mode?force=true", "mode", a[0])
    }),
    ("I get the global mode", |w, _, _| {
        w.call("GET", "/mode", None)
    }),
    ("subject S has mode S", |w, a, _| {
        w.set(&format!("/mode/{}", a[0]), "mode", a[1])
    }),
    ("I set the mode for subject S to S", |w, a, _| {
        w.put(&format!("/mode/{}", a[0]), "mode", a[1])
    }),
    ("I get the mode for subject S", |w, a, _| {
        w.call("GET", &format!("/mode/{}", a[0]), None)
    }),
    ("I delete the mode for subject S", |w, a, _| {
        w.call("DELETE", &format!("/mode/{}", a[0]), None)
    }),
    ("subject S has schema:", |w, a, t| {
        w.register(a[0], None, t)?;
        w.expect_status(200)
    }),
    ("subject S has S schema:", |w, a, t| {
        w.register(a[0], Some(a[1]), t)?;
        w.expect_status(200)
    }),
    ("I register a schema under subject S:", |w, a, t| {
        w.register(a[0], None, t)
    }),
    ("I register a S schema under subject S:", |w, a, t| {
        w.register(a[1], Some(a[0]), t)
    }),
    (
        "I register a schema under subject S with references:",
        |w, a, t| w.call("POST", &format!("/subjects/{}/versions", a[0]), t),
    ),
    (
        "I register a S schema under subject S with references:",
        |w, a, t| {
            let mut body: Value = serde_json::from_str(t.unwrap_or_default())?;
            body["schemaType"] = json!(a[0]);
            w.call(
                "POST",
                &format!("/subjects/{}/versions", a[1]),
                Some(&body.to_string()),
            )
        },
    ),
    ("I lookup schema in subject S:", |w, a, t| {
        w.post_schema(&format!("/subjects/{}", a[0]), None, t)
    }),
    ("I lookup a S schema in subject S:", |w, a, t| {
        w.post_schema(&format!("/subjects/{}", a[1]), Some(a[0]), t)
    }),
    ("I lookup schema in subject S with deleted:", |w, a, t| {
        w.post_schema(&format!("/subjects/{}?deleted=true", a[0]), None, t)
    }),
    (
        "I check compatibility of schema against subject S:",
        |w, a, t| w.post_schema(&compatibility(a[0], "latest"), None, t),
    ),
    (
        "I check compatibility of S schema against subject S:",
        |w, a, t| w.post_schema(&compatibility(a[1], "latest"), Some(a[0]), t),
    ),
    (
        "I check compatibility of schema against subject S version N:",
        |w, a, t| w.post_schema(&compatibility(a[0], a[1]), None, t),
    ),
    (
        "I check compatibility of schema against all versions of subject S:",
        |w, a, t| {
            w.post_schema(
                &format!("/compatibility/subjects/{}/versions", a[0]),
                None,
                t,
            )
        },
    ),
    (
        "I check compatibility of S schema with reference S from subject S version N against subject S:",
        |w, a, t| {
            let reference = json!({"name": a[1], "subject": a[2], "version": a[3].parse::<i32>()?});
            let body = json!({
                "schema": t.unwrap_or_default(),
                "schemaType": a[0],
                "references": [reference],
            });
            w.call(
                "POST",
                &compatibility(a[4], "latest"),
                Some(&body.to_string()),
            )
        },
    ),
    ("I get the stored schema by ID", |w, _, _| {
        let id = w.stored("schema_id")?;
        w.call("GET", &format!("/schemas/ids/{id}"), None)
    }),
    ("I get schema by ID (.+)", |w, a, _| {
        w.call("GET", &format!("/schemas/ids/{}", a[0]), None)
    }),
    ("I get the raw schema by ID (.+)", |w, a, _| {
        w.call("GET", &format!("/schemas/ids/{}/schema", a[0]), None)
    }),
    ("I get the subjects for the stored schema ID", |w, _, _| {
        let id = w.stored("schema_id")?;
        w.call("GET", &format!("/schemas/ids/{id}/subjects"), None)
    }),
    ("I get the subjects for schema ID (.+)", |w, a, _| {
        w.call("GET", &format!("/schemas/ids/{}/subjects", a[0]), None)
    }),
    ("I get versions for schema ID (.+)", |w, a, _| {
        w.call("GET", &format!("/schemas/ids/{}/versions", a[0]), None)
    }),
    ("I get version N of subject S", |w, a, _| {
        w.call(
            "GET",
            &format!("/subjects/{}/versions/{}", a[1], a[0]),
            None,
        )
    }),
    ("I get the latest version of subject S", |w, a, _| {
        w.call("GET", &format!("/subjects/{}/versions/latest", a[0]), None)
    }),
    ("I get the raw schema for subject S version N", |w, a, _| {
        w.call(
            "GET",
            &format!("/subjects/{}/versions/{}/schema", a[0], a[1]),
            None,
        )
    }),
    (
        "I get the referenced by for subject S version N",
        |w, a, _| {
            w.call(
                "GET",
                &format!("/subjects/{}/versions/{}/referencedby", a[0], a[1]),
                None,
            )
        },
    ),
    ("I list versions of subject S", |w, a, _| {
        w.call("GET", &format!("/subjects/{}/versions", a[0]), None)
    }),
    ("I list all subjects", |w, _, _| {
        w.call("GET", "/subjects", None)
    }),
    ("I list subjects with deleted", |w, _, _| {
        w.call("GET", "/subjects?deleted=true", None)
    }),
    ("I list all schemas", |w, _, _| {
        w.call("GET", "/schemas", None)
    }),
    ("I get the schema types", |w, _, _| {
        w.call("GET", "/schemas/types", None)
    }),
    ("I get the cluster ID", |w, _, _| {
        w.call("GET", "/v1/metadata/id", None)
    }),
    ("I get the server version", |w, _, _| {
        w.call("GET", "/v1/metadata/version", None)
    }),
    ("I delete subject S", |w, a, _| {
        w.call("DELETE", &format!("/subjects/{}", a[0]), None)
    }),
    ("I permanently delete subject S", |w, a, _| {
        w.call(
            "DELETE",
            &format!("/subjects/{}?permanent=true", a[0]),
            None,
        )
    }),
    ("I delete version N of subject S", |w, a, _| {
        w.call(
            "DELETE",
            &format!("/subjects/{}/versions/{}", a[1], a[0]),
            None,
        )
    }),
    ("I permanently delete version N of subject S", |w, a, _| {
        w.call(
            "DELETE",
            &format!("/subjects/{}/versions/{}?permanent=true", a[1], a[0]),
            None,
        )
    }),
    ("the response status should be N", |w, a, _| {
        w.expect_status(a[0].parse()?)
    }),
    ("the response should have error code N", |w, a, _| {
        let expected: i64 = a[0].parse()?;
        w.expect(w.field("error_code") == json!(expected))
    }),
    ("the response (?:body )?should contain S", |w, a, _| {
        w.expect(w.answer.body.contains(a[0]))
    }),
    ("the response body should not contain S", |w, a, _| {
        w.expect(!w.answer.body.contains(a[0]))
    }),
    ("the response should be valid JSON", |w, _, _| {
        w.expect(w.json().is_ok())
    }),
    ("the response should have field S", |w, a, _| {
        w.expect(!w.field(a[0]).is_null())
    }),
    ("the response field S should be S", |w, a, _| {
        let found = w.field(a[0]);
        w.expect(shown(&found) == a[1])
    }),
    (
        "the response field S should be (N|true|false)",
        |w, a, _| w.expect(shown(&w.field(a[0])) == a[1]),
    ),
    (
        "the response field S should be empty or absent",
        |w, a, _| {
            let found = w.field(a[0]);
            w.expect(
                found.is_null() || found == json!("") || found == json!([]) || found == json!({}),
            )
        },
    ),
    ("the response field S should equal stored S", |w, a, _| {
        let stored = w.stored_value(a[1])?;
        w.expect(w.field(a[0]) == stored)
    }),
    (
        "the response field S should not equal stored S",
        |w, a, _| {
            let stored = w.stored_value(a[1])?;
            w.expect(w.field(a[0]) != stored)
        },
    ),
    ("I store the response field S as S", |w, a, _| {
        let value = w.field(a[0]);
        ensure!(
            !value.is_null(),
            "the answer has no field {:?}: {}",
            a[0],
            w.answer.body
        );
        w.stored.insert(a[1].to_owned(), value);
        Ok(())
    }),
    ("the stored S should be greater than N", |w, a, _| {
        let (found, than) = (w.stored_value(a[0])?.as_i64(), a[1].parse::<i64>()?);
        w.expect(found.is_some_and(|found| found > than))
    }),
    ("the response should be an array of length N", |w, a, _| {
        let length: usize = a[0].parse()?;
        w.expect(
            w.json()?
                .as_array()
                .is_some_and(|array| array.len() == length),
        )
    }),
    ("the response array should contain S", |w, a, _| {
        let wanted = json!(a[0]);
        w.expect(
            w.json()?
                .as_array()
                .is_some_and(|array| array.contains(&wanted)),
        )
    }),
    ("the response array should not contain S", |w, a, _| {
        let wanted = json!(a[0]);
        w.expect(
            w.json()?
                .as_array()
                .is_some_and(|array| !array.contains(&wanted)),
        )
    }),
    ("the response array should contain integer N", |w, a, _| {
        let wanted = json!(a[0].parse::<i64>()?);
        w.expect(
            w.json()?
                .as_array()
                .is_some_and(|array| array.contains(&wanted)),
        )
    }),
    (
        "the response array should contain stored integer S",
        |w, a, _| {
            let wanted = w.stored_value(a[0])?;
            w.expect(
                w.json()?
                    .as_array()
                    .is_some_and(|array| array.contains(&wanted)),
            )
        },
    ),
    (
        "the response should be an integer with value N",
        |w, a, _| w.expect(w.json()? == json!(a[0].parse::<i64>()?)),
    ),
    ("the response header S should contain S", |w, a, _| {
        let name = a[0].to_ascii_lowercase();
        let found = w
            .answer
            .headers
            .iter()
            .any(|(key, value)| *key == name && value.contains(a[1]));
        w.expect(found)
    }),
    ("the compatibility check should be compatible", |w, _, _| {
        w.expect(w.field("is_compatible") == json!(true))
    }),
    (
        "the compatibility check should be incompatible",
        |w, _, _| w.expect(w.field("is_compatible") == json!(false)),
    ),
    ("GET /subjects should return an empty array", |w, _, _| {
        w.call("GET", "/subjects", None)?;
        w.expect(w.json()? == json!([]))
    }),
    ("subject S should have exactly N versions?", |w, a, _| {
        w.call("GET", &format!("/subjects/{}/versions", a[0]), None)?;
        let length: usize = a[1].parse()?;
        w.expect(
            w.json()?
                .as_array()
                .is_some_and(|array| array.len() == length),
        )
    }),
    (
        "N goroutines each register a unique Avro schema to separate subjects",
        |w, a, _| {
            let requests = (0..a[0].parse::<usize>()?).map(|n| {
                post(
                    &format!("/subjects/concurrent-{n}/versions"),
                    &record(&format!("Unique{n}"), "a"),
                )
            });
            w.at_once(requests.collect())
        },
    ),
    (
        "N goroutines register the same Avro schema to subject S",
        |w, a, _| {
            let request = post(
                &format!("/subjects/{}/versions", a[1]),
                &record("Same", "a"),
            );
            w.at_once(vec![request; a[0].parse()?])
        },
    ),
    (
        "N goroutines attempt to register schemas to subject S",
        |w, a, _| {
            let requests = (0..a[0].parse::<usize>()?).map(|n| {
                post(
                    &format!("/subjects/{}/versions", a[1]),
                    &record(&format!("Attempt{n}"), "a"),
                )
            });
            w.at_once(requests.collect())
        },
    ),
    ("N subjects each with one Avro schema", |w, a, _| {
        for n in 0..a[0].parse::<usize>()? {
            let body = record(&format!("Doomed{n}"), "a");
            w.post_schema(&format!("/subjects/doomed-{n}/versions"), None, Some(&body))?;
            w.expect_status(200)?;
        }
        Ok(())
    }),
    (
        "N goroutines each soft-delete their own subject",
        |w, a, _| {
            let requests = (0..a[0].parse::<usize>()?)
                .map(|n| ("DELETE", format!("/subjects/doomed-{n}"), None));
            w.at_once(requests.collect())
        },
    ),
    (
        "N writer goroutines add versions and N reader goroutines read latest from subject S",
        |w, a, _| {
            let path = format!("/subjects/{}/versions", a[2]);
            let writers = (0..a[0].parse::<usize>()?)
                .map(|n| post(&path, &record("Shared", &format!("f{n}"))));
            let readers =
                (0..a[1].parse::<usize>()?).map(|_| ("GET", format!("{path}/latest"), None));
            w.at_once(writers.chain(readers).collect())
        },
    ),
    ("all concurrent results should succeed", |w, _, _| {
        w.expect_all(|answer| answer.status == 200)
    }),
    ("all concurrent results should have status N", |w, a, _| {
        let status: u16 = a[0].parse()?;
        w.expect_all(|answer| answer.status == status)
    }),
    ("no concurrent results should have a N status", |w, a, _| {
        let status: u16 = a[0].parse()?;
        w.expect_all(|answer| answer.status != status)
    }),
    (
        "all reader responses should contain a valid schema",
        |w, _, _| {
            w.expect_all(|answer| {
                answer.status != 200 || answer.body.contains("schema") || answer.body.contains("id")
            })
        },
    ),
    ("all returned schema IDs should be unique", |w, _, _| {
        let ids = w.ids();
        w.expect(ids.iter().collect::<BTreeSet<_>>().len() == ids.len())
    }),
    ("all returned schema IDs should be identical", |w, _, _| {
        w.expect(w.ids().iter().collect::<BTreeSet<_>>().len() == 1)
    }),
];

type Request = (&'static str, String, Option<String>);

fn post(path: &str, schema: &str) -> Request {
    (
        "POST",
        path.to_owned(),
        Some(json!({"schema": schema}).to_string()),
    )
}

fn record(name: &str, field: &str) -> String {
    let fields = json!([{"name": field, "type": ["null", "string"], "default": null}]);
    json!({"type": "record", "name": name, "fields": fields}).to_string()
}

fn compatibility(subject: &str, version: &str) -> String {
    format!("/compatibility/subjects/{subject}/versions/{version}")
}

/// A value as a step writes it: a text without its quotes.
fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What the steps of a scenario share.
pub(super) struct World {
    address: String,
    answer: Answer,
    stored: BTreeMap<String, Value>,
    concurrent: Vec<Answer>,
    /// Paths of configs and modes that were set, to be taken away.
    settings: BTreeSet<String>,
    steps: Vec<(Regex, Action)>,
}

impl World {
    pub(super) fn new(address: String) -> World {
        let compile = |(pattern, action): &(&str, Action)| {
            let pattern = pattern
                .split(' ')
                .map(|word| match word.trim_end_matches([':', ')']) {
                    "S" => word.replacen('S', "\"([^\"]*)\"", 1),
                    "N" => word.replacen('N', "(-?[0-9]+)", 1),
                    _ => word.replace("(N|", "(-?[0-9]+|"),
                })
                .collect::<Vec<_>>()
                .join(" ");
            let regex = Regex::new(&format!("^{pattern}$")).expect("the phrases are patterns");
            (regex, *action)
        };
        World {
            address,
            answer: Answer::default(),
            stored: BTreeMap::new(),
            concurrent: Vec::new(),
            settings: BTreeSet::new(),
            steps: STEPS.iter().map(compile).collect(),
        }
    }

    /// Runs the step of `phrase`.
    pub(super) fn run(&mut self, phrase: &str, text: Option<&str>) -> Result<Ran> {
        if phrase == READ_OVER {
            return Ok(Ran::Done);
        }
        if FOREIGN.iter().any(|foreign| phrase.contains(foreign)) {
            return Ok(Ran::Foreign);
        }
        let phrase = self.filled(phrase);
        let text = text.map(|text| self.filled(text));
        let found = self.steps.iter().find_map(|(regex, action)| {
            let captures = regex.captures(&phrase)?;
            let arguments: Vec<String> = captures
                .iter()
                .skip(1)
                .flatten()
                .map(|group| group.as_str().to_owned())
                .collect();
            Some((arguments, *action))
        });
        let (arguments, action) = found.context("no step of that phrase")?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        action(self, &arguments, text.as_deref())?;
        Ok(Ran::Done)
    }

    /// Puts what was stored in the place of `{{name}}`.
    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.stored {
            filled = filled.replace(&format!("{{{{{name}}}}}"), &shown(value));
        }
        filled
    }

    fn call(&mut self, method: &str, target: &str, body: Option<&str>) -> Result<()> {
        let path = target.split('?').next().unwrap_or_default();
        if method == "PUT" && (path.contains("/config") || path.contains("/mode")) {
            self.settings.insert(path.to_owned());
        }
        self.answer = http::send(&self.address, method, target, body)?;
        Ok(())
    }

    fn put(&mut self, path: &str, field: &str, value: &str) -> Result<()> {
        let body = json!({ field: value }).to_string();
        self.call("PUT", path, Some(&body))
    }

    fn set(&mut self, path: &str, field: &str, value: &str) -> Result<()> {
        self.put(path, field, value)?;
        self.expect_status(200)
    }

    fn register(&mut self, subject: &str, kind: Option<&str>, text: Option<&str>) -> Result<()> {
        self.post_schema(&format!("/subjects/{subject}/versions"), kind, text)
    }

    fn post_schema(&mut self, target: &str, kind: Option<&str>, text: Option<&str>) -> Result<()> {
        let mut body = json!({ "schema": text.unwrap_or_default() });
        if let Some(kind) = kind {
            body["schemaType"] = json!(kind);
        }
        self.call("POST", target, Some(&body.to_string()))
    }

    fn at_once(&mut self, requests: Vec<Request>) -> Result<()> {
        let address = self.address.clone();
        let answers: Vec<Result<Answer>> = std::thread::scope(|scope| {
            let running: Vec<_> = requests
                .iter()
                .map(|(method, target, body)| {
                    let address = address.as_str();
                    scope.spawn(move || http::send(address, method, target, body.as_deref()))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Answer>>| {
                thread
                    .join()
                    .unwrap_or_else(|_| bail!("a request panicked"))
            };
            running.into_iter().map(join).collect()
        });
        self.concurrent = answers.into_iter().collect::<Result<_>>()?;
        Ok(())
    }

    fn ids(&self) -> Vec<i64> {
        let id = |answer: &Answer| serde_json::from_str::<Value>(&answer.body).ok()?["id"].as_i64();
        self.concurrent.iter().filter_map(id).collect()
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.answer.body)
            .with_context(|| format!("the answer is no JSON: {}", self.answer.body))
    }

    fn field(&self, name: &str) -> Value {
        let value = self.json().unwrap_or_default();
        match value.get(name) {
            Some(found) => found.clone(),
            None => name
                .split('.')
                .try_fold(&value, |value, part| match part.parse::<usize>() {
                    Ok(index) if value.is_array() => value.get(index),
                    _ => value.get(part),
                })
                .cloned()
                .unwrap_or_default(),
        }
    }

    fn stored_value(&self, name: &str) -> Result<Value> {
        self.stored
            .get(name)
            .cloned()
            .with_context(|| format!("nothing is stored as {name:?}"))
    }

    fn stored(&self, name: &str) -> Result<String> {
        Ok(self.stored_value(name)?.to_string())
    }

    fn expect_status(&self, status: u16) -> Result<()> {
        ensure!(
            self.answer.status == status,
            "status {}: {}",
            self.answer.status,
            self.answer.body
        );
        Ok(())
    }

    fn expect(&self, holds: bool) -> Result<()> {
        ensure!(
            holds,
            "the answer was {}: {}",
            self.answer.status,
            self.answer.body
        );
        Ok(())
    }

    fn expect_all(&self, holds: impl Fn(&Answer) -> bool) -> Result<()> {
        for answer in &self.concurrent {
            ensure!(
                holds(answer),
                "one answer was {}: {}",
                answer.status,
                answer.body
            );
        }
        Ok(())
    }

    /// Removes everything through the API.
    pub(super) fn clean(&mut self) -> Result<()> {
        self.stored.clear();
        self.concurrent.clear();
        self.set("/mode?force=true", "mode", "READWRITE")?;
        for path in std::mem::take(&mut self.settings) {
            self.call("DELETE", &path, None)?;
        }
        self.call("DELETE", "/mode?recursive=true", None)?;
        self.call("DELETE", "/config", None)?;
        self.clean_keys()?;
        // A subject that others refer to goes after them.
        for _ in 0..8 {
            self.call("GET", "/subjects?deleted=true&subjectPrefix=:*:", None)?;
            let subjects: Vec<String> = serde_json::from_str(&self.answer.body)?;
            if subjects.is_empty() {
                return Ok(());
            }
            for subject in subjects {
                let path = format!(
                    "/subjects/{}",
                    subject.replace('%', "%25").replace('/', "%2F")
                );
                self.call("DELETE", &path, None)?;
                self.call("DELETE", &format!("{path}?permanent=true"), None)?;
            }
        }
        bail!("subjects remain: {}", self.answer.body)
    }

    /// Deletes all keys, DEKs before the KEKs they are under.
    fn clean_keys(&mut self) -> Result<()> {
        for kek in self.listed("/dek-registry/v1/keks")? {
            let kek = format!("/dek-registry/v1/keks/{kek}");
            for subject in self.listed(&format!("{kek}/deks"))? {
                for algorithm in ["AES128_GCM", "AES256_GCM", "AES256_SIV"] {
                    let dek = format!("{kek}/deks/{subject}?algorithm={algorithm}");
                    self.call("DELETE", &dek, None)?;
                    self.call("DELETE", &format!("{dek}&permanent=true"), None)?;
                }
            }
            self.call("DELETE", &kek, None)?;
            self.call("DELETE", &format!("{kek}?permanent=true"), None)?;
        }
        Ok(())
    }

    /// The names that a path lists, soft deleted ones too.
    fn listed(&mut self, path: &str) -> Result<Vec<String>> {
        self.call("GET", &format!("{path}?deleted=true"), None)?;
        Ok(serde_json::from_str(&self.answer.body)?)
    }
}
