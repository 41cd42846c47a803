//! Apache Kafka itself, from Maven Central: the jars of its broker, its client and its command-line tools.
//!
//! `java/pom.xml` names the two artifacts that bring everything, and the version. The jars land in the cache;
//! `java/src` holds our own runner and client, compiled against them; `java/serdes` is compiled against more.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, once};
use crate::process;

/// The release that serves as oracle.
pub const KAFKA_VERSION: &str = "4.3.1";

/// The scripts of Apache Kafka's `bin/` that other projects' tests call, and what they run.
const SHELL_SCRIPTS: [(&str, &str); 4] = [
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-acls.sh", "org.apache.kafka.tools.AclCommand"),
    ("kafka-configs.sh", "kafka.admin.ConfigCommand"),
    // The caller names the class, and where it lies in the environment variable CLASSPATH.
    ("kafka-run-class.sh", ""),
];

const POM: &str = include_str!("../java/pom.xml");
const LOG4J2: &str = include_str!("../java/log4j2.xml");

/// Apache Kafka's jars on this machine.
#[derive(Debug, Clone)]
pub struct Kafka {
    directory: PathBuf,
}

impl Kafka {
    /// Fetches the jars unless the cache holds them. Needs `java` and `mvn`, and the network the first time.
    pub fn fetch(cache: &Cache) -> Result<Self> {
        let directory = cache.directory(&format!("kafka-{KAFKA_VERSION}"))?;
        ensure!(
            POM.contains(&format!("<kafka.version>{KAFKA_VERSION}</kafka.version>")),
            "java/pom.xml names another version of Apache Kafka than kafka.rs, which says {KAFKA_VERSION}"
        );
        once(&directory, "fetched", POM, || download(&directory))?;
        fs::write(directory.join("log4j2.xml"), LOG4J2)?;
        Ok(Self { directory })
    }

    /// `java` with Apache Kafka's classes, its logging to standard error and the given JVM options.
    pub fn java(&self, jvm_options: &[&str]) -> Command {
        self.java_with(&[], jvm_options)
    }

    /// As [`Self::java`], with more entries of the class path in front.
    pub fn java_with(&self, classes: &[&Path], jvm_options: &[&str]) -> Command {
        let mut command = Command::new("java");
        let mut logging = OsString::from("-Dlog4j2.configurationFile=");
        logging.push(self.directory.join("log4j2.xml"));
        command
            .args(jvm_options)
            .arg(logging)
            .arg("-cp")
            .arg(self.class_path(classes));
        command
    }

    /// Compiles the runner of the suites in Java, and returns the folder of classes.
    pub fn compile_runner(&self) -> Result<PathBuf> {
        self.compile("src", &self.directory, &[])
    }

    /// Compiles the Java sources in a folder of this crate's `java` into `directory`, once for each change to them, and
    /// returns the folder of classes. `jars` are entries of the class path before Apache Kafka's.
    pub(crate) fn compile(
        &self,
        folder: &str,
        directory: &Path,
        jars: &[&Path],
    ) -> Result<PathBuf> {
        let sources = java_sources(folder)?;
        let mut stamp = String::new();
        for source in &sources {
            stamp.push_str(
                &fs::read_to_string(source)
                    .with_context(|| format!("could not read {}", source.display()))?,
            );
        }
        let classes = directory.join("classes");
        once(directory, "compiled", &stamp, || {
            if classes.exists() {
                fs::remove_dir_all(&classes)?;
            }
            let mut command = Command::new("javac");
            // What other people's jars say of themselves and of each other is not looked at.
            command
                .args(["-Xlint:all,-processing,-path,-classfile", "-Werror"])
                .args(["--release", "17", "-d"])
                .arg(&classes)
                .arg("-cp");
            command.arg(self.class_path(jars)).args(&sources);
            process::run(&mut command, b"", Duration::from_secs(180))
                .context("could not start javac; on Debian: apt-get install default-jdk-headless")?
                .ok()
                .context("javac refused the Java sources of crates/compat")?;
            Ok(())
        })?;
        Ok(classes)
    }

    /// A folder with `bin/kafka-*.sh`, for clients that expect an installation of Apache Kafka.
    pub fn shell_scripts(&self) -> Result<PathBuf> {
        let folder = self.directory.join("bin");
        fs::create_dir_all(&folder)
            .with_context(|| format!("could not create {}", folder.display()))?;
        let logging = self.directory.join("log4j2.xml");
        for (name, main) in SHELL_SCRIPTS {
            let script = format!(
                "#!/bin/sh\nexec java -Xmx256M -XX:TieredStopAtLevel=1 '-Dlog4j2.configurationFile={}' -cp \"${{CLASSPATH:+$CLASSPATH:}}{}/libs/*\" {main} \"$@\"\n",
                logging.display(),
                self.directory.display(),
            );
            let path = folder.join(name);
            fs::write(&path, script)
                .with_context(|| format!("could not write {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(self.directory.clone())
    }

    fn class_path(&self, classes: &[&Path]) -> OsString {
        let mut entries: Vec<PathBuf> = classes.iter().map(|path| path.to_path_buf()).collect();
        entries.push(self.directory.join("libs").join("*"));
        env::join_paths(entries)
            .unwrap_or_else(|_| self.directory.join("libs").join("*").into_os_string())
    }
}

fn download(directory: &Path) -> Result<()> {
    eprintln!(
        "fetching Apache Kafka {KAFKA_VERSION} into {}",
        directory.display()
    );
    let project = directory.join("project");
    fs::create_dir_all(&project)?;
    fs::write(project.join("pom.xml"), POM)?;
    let libs = directory.join("libs");
    let mut command = Command::new("mvn");
    command
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
        ])
        .arg(format!("-DoutputDirectory={}", libs.display()))
        .current_dir(&project);
    process::run(&mut command, b"", Duration::from_secs(900))
        .context("could not start mvn; on Debian: apt-get install maven default-jdk-headless")?
        .ok()
        .context("Maven could not fetch Apache Kafka")?;
    let jar = libs.join(format!("kafka_2.13-{KAFKA_VERSION}.jar"));
    ensure!(
        jar.is_file(),
        "Maven reported success, but {} is not there",
        jar.display()
    );
    Ok(())
}

fn java_sources(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("java")
        .join(folder);
    let mut sources = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))?
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "java")
        {
            sources.push(path);
        }
    }
    ensure!(
        !sources.is_empty(),
        "{} holds no Java source",
        folder.display()
    );
    sources.sort();
    Ok(sources)
}
