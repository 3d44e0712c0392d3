//! Owns the command line of the development commands. May run anything in the repository. Must
//! not be needed to build or run the product.

mod ci;
mod dist;
mod excerpt;
mod packages;
mod run;
mod stages;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask <command>

  test [STAGE...]   every test, or the named stages only
  stages            what the stages of test are
  ci [STAGE...]     installs what Debian lacks for the tests, then test
  python            the Python package: its wheel, and its tests from the wheel
  java              the Java package: its jar, and its tests with the jar
  dist              the tarball and the Debian package, in target/dist
  check-packages    dist, and what users do with both
  kubernetes        the manifests for Kubernetes, and what they start
  tidy              checks of the sources themselves";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match command(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: &[String]) -> Result<bool> {
    let Some((name, rest)) = args.split_first() else {
        bail!("{USAGE}");
    };
    match (name.as_str(), rest) {
        ("test", only) => run::all(&stages::select(only)?),
        ("stages", []) => {
            for stage in stages::STAGES {
                println!("{:<12} {}", stage.name, stage.line());
            }
            Ok(true)
        }
        ("ci", only) => {
            let stages = stages::select(only)?;
            ci::install()?;
            run::all(&stages)
        }
        ("python", []) => packages::python(),
        ("java", []) => packages::java(),
        ("dist", []) => dist::make().map(|_| true),
        ("check-packages", []) => dist::check::all(),
        ("kubernetes", []) => packages::kubernetes(),
        ("tidy", []) => tidy::check(),
        _ => bail!("{USAGE}"),
    }
}
