//! What a fresh machine lacks: a C toolchain, because the client (`rdkafka`) builds librdkafka from source.
//!
//! `cargo build` would name it too, forty lines deep in a build script's output. Here it is said before the
//! build starts and, where we may (root on a Debian-like system), put right.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::repo;

/// One thing the build needs from the system, and the Debian package that brings it.
struct Need {
    what: &'static str,
    package: &'static str,
    present: fn() -> bool,
}

const NEEDS: [Need; 5] = [
    Need {
        what: "a C compiler (cc)",
        package: "gcc",
        present: || answers("cc", "--version"),
    },
    Need {
        what: "a C++ compiler (c++)",
        package: "g++",
        present: || answers("c++", "--version"),
    },
    Need {
        what: "make",
        package: "make",
        present: || answers("make", "--version"),
    },
    Need {
        what: "the C library's headers",
        package: "libc6-dev",
        present: || header("stdio.h"),
    },
    Need {
        what: "zlib's headers",
        package: "zlib1g-dev",
        present: || header("zlib.h"),
    },
];

/// Makes sure that C code can be built; installs what is missing when we are root and `apt-get` exists.
pub(crate) fn ensure_c_toolchain() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
    println!("missing on this machine: {}", names.join(", "));
    if !(is_root() && answers("apt-get", "--version")) {
        bail!(
            "the build needs {}; install them first, on Debian or Ubuntu with: sudo apt-get install {}",
            names.join(", "),
            packages.join(" ")
        );
    }
    println!("installing with apt-get: {}", packages.join(" "));
    repo::run(
        Command::new("apt-get")
            .args(["update", "-q"])
            .stdin(Stdio::null()),
    )?;
    repo::run(
        Command::new("apt-get")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null()),
    )
}

fn answers(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Asks the compiler itself, so that a header under a multi-arch or a custom prefix counts.
fn header(name: &str) -> bool {
    let source = std::env::temp_dir().join(format!("affluent-header-{}.c", std::process::id()));
    if std::fs::write(&source, format!("#include <{name}>\n")).is_err() {
        return Path::new("/usr/include").join(name).is_file();
    }
    let found = Command::new("cc")
        .args(["-fsyntax-only", "-x", "c"])
        .arg(&source)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    std::fs::remove_file(&source).ok();
    found
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
