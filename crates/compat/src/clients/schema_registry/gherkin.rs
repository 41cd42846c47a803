//! As much of Gherkin as the feature files use: tags, a background, scenarios and outlines, steps with a text.

use anyhow::{Context, Result};

/// A feature file.
#[derive(Debug, Default)]
pub(super) struct Feature {
    pub(super) tags: Vec<String>,
    pub(super) background: Vec<Step>,
    pub(super) scenarios: Vec<Scenario>,
}

/// One scenario.
#[derive(Debug, Default)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) steps: Vec<Step>,
    examples: Vec<Vec<String>>,
}

/// One step, without its keyword.
#[derive(Debug, Default, Clone)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) phrase: String,
    pub(super) text: Option<String>,
}

impl Feature {
    /// Reads a file's text. Tables of steps are read over: no step that is run has one.
    pub(super) fn parse(source: &str) -> Result<Feature> {
        let mut feature = Feature::default();
        let mut tags = Vec::new();
        let mut in_scenario = false;
        let mut is_open = false;
        let mut in_examples = false;
        let mut lines = source.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            if trimmed.starts_with('|') {
                if let Some(scenario) = feature.scenarios.last_mut().filter(|_| in_examples) {
                    let cells = trimmed.trim_matches('|').split('|');
                    let row = cells.map(|cell| cell.trim().to_owned()).collect();
                    scenario.examples.push(row);
                }
                continue;
            }
            in_examples = trimmed.starts_with("Examples:");
            if trimmed.starts_with('@') {
                tags.extend(trimmed.split_whitespace().map(str::to_owned));
            } else if trimmed.starts_with("Feature:") {
                feature.tags = std::mem::take(&mut tags);
            } else if trimmed.starts_with("Background:") {
                is_open = true;
            } else if let Some(name) = trimmed
                .strip_prefix("Scenario:")
                .or_else(|| trimmed.strip_prefix("Scenario Outline:"))
            {
                (in_scenario, is_open) = (true, true);
                feature.scenarios.push(Scenario {
                    name: name.trim().to_owned(),
                    tags: std::mem::take(&mut tags),
                    ..Scenario::default()
                });
            } else if trimmed.starts_with("\"\"\"") {
                let indent = line.len() - line.trim_start().len();
                let text = doc_string(&mut lines, indent);
                let step = feature.steps(in_scenario).last_mut();
                step.with_context(|| format!("line {}: a text without a step", index + 1))?
                    .text = Some(text);
            } else if let Some(phrase) = step_phrase(trimmed).filter(|_| is_open) {
                feature.steps(in_scenario).push(Step {
                    line: index + 1,
                    phrase: phrase.to_owned(),
                    text: None,
                });
            }
            // Anything else is a description.
        }
        let scenarios = std::mem::take(&mut feature.scenarios);
        feature.scenarios = scenarios.into_iter().flat_map(Scenario::expanded).collect();
        Ok(feature)
    }

    fn steps(&mut self, in_scenario: bool) -> &mut Vec<Step> {
        match self.scenarios.last_mut() {
            Some(scenario) if in_scenario => &mut scenario.steps,
            _ => &mut self.background,
        }
    }
}

impl Scenario {
    /// An outline as one scenario for each row of its examples.
    fn expanded(self) -> Vec<Scenario> {
        let Some((names, rows)) = self.examples.split_first() else {
            return vec![self];
        };
        let filled = |row: &[String], text: &str| {
            names
                .iter()
                .zip(row)
                .fold(text.to_owned(), |text, (name, value)| {
                    text.replace(&format!("<{name}>"), value)
                })
        };
        rows.iter()
            .map(|row| Scenario {
                name: format!("{} ({})", self.name, row.join(", ")),
                tags: self.tags.clone(),
                steps: self
                    .steps
                    .iter()
                    .map(|step| Step {
                        line: step.line,
                        phrase: filled(row, &step.phrase),
                        text: step.text.as_deref().map(|text| filled(row, text)),
                    })
                    .collect(),
                examples: Vec::new(),
            })
            .collect()
    }
}

fn step_phrase(line: &str) -> Option<&str> {
    ["Given ", "When ", "Then ", "And ", "But "]
        .iter()
        .find_map(|keyword| line.strip_prefix(keyword))
        .map(str::trim)
}

fn doc_string<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, indent: usize) -> String {
    let mut text = Vec::new();
    for (_, line) in lines {
        if line.trim_start().starts_with("\"\"\"") {
            break;
        }
        let own = line.len() - line.trim_start().len();
        text.push(line.get(own.min(indent)..).unwrap_or_default());
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_read() {
        let source = "@a\nFeature: f\n  And so on\n  Background:\n    Given it runs\n\n  @b @c\n  Scenario: one\n    \
            When I PUT \"/x\" with body:\n      \"\"\"\n      {\n        \"k\": 1}\n      \"\"\"\n    Then it is so:\n      | a | b |\n";
        let feature = Feature::parse(source).unwrap();
        assert_eq!(feature.tags, ["@a"]);
        assert_eq!(feature.background.len(), 1);
        let scenario = &feature.scenarios[0];
        assert_eq!(scenario.tags, ["@b", "@c"]);
        assert_eq!(scenario.steps[0].text.as_deref(), Some("{\n  \"k\": 1}"));
        assert_eq!(scenario.steps[1].phrase, "it is so:");
    }
}
