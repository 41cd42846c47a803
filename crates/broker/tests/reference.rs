//! The reference pages under `docs/reference` are what the declarations say.

use std::path::Path;

/// `UPDATE_EXPECT=1` writes the pages anew.
#[test]
fn reference_pages_are_those_of_the_declarations() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let pages = broker::config::reference_markdown();
    assert!(!pages.is_empty());
    for (file, page) in pages {
        let path = directory.join(file);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == page,
            "{} is out of date: run with UPDATE_EXPECT=1",
            path.display()
        );
    }
}
