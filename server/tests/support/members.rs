//! Members of an ensemble in one process.

use std::path::Path;

use menagerie::{Builder, ZooServer};
use menagerie_ports::free_address;

/// The server lines of three members, on ports of their own.
pub fn lines_of_three() -> Vec<String> {
    (1..=3)
        .map(|id| {
            let (quorum, election) = (free_address().unwrap(), free_address().unwrap());
            format!("server.{id}={quorum}:{}", election.port())
        })
        .collect()
}

/// Member `me`, with its data below `dir`.
pub fn builder(dir: &Path, me: usize, lines: &[String]) -> Builder {
    let home = dir.join(me.to_string());
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("myid"), me.to_string()).unwrap();
    let builder = ZooServer::builder()
        .data_dir(&home)
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .set_parameter("tickTime", 500)
        .set_parameter("preAllocSize", 64)
        .set_parameter("4lw.commands.whitelist", "*");
    let line = |builder: Builder, line: &String| builder.set_parameter_line(line);
    lines.iter().fold(builder, line)
}
