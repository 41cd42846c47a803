//! Comparing output with a file.

use std::path::Path;

/// Compares `actual` with `tests/expected/{name}`, or writes it there with `UPDATE_EXPECT=1`.
#[track_caller]
pub(crate) fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/expected")
        .join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run with UPDATE_EXPECT=1", path.display()));
    assert!(
        actual == expected,
        "{name} differs; UPDATE_EXPECT=1 accepts it\n--- expected\n{expected}\n--- actual\n{actual}"
    );
}
