//! The load generator against a server in this process.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use menagerie::ZooServer;
use serde_json::Value;

fn start(dir: &tempfile::TempDir) -> ZooServer {
    ZooServer::builder()
        .set_parameter("dataDir", dir.path().display())
        .set_parameter("clientPort", 0)
        .set_parameter("clientPortAddress", "127.0.0.1")
        .start()
        .unwrap()
}

#[test]
fn every_workload_runs_counts_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir);
    let address = server.client_addr().to_string();
    let tools = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"));
        command.args(words).output().unwrap()
    };
    let pid = std::process::id().to_string();
    let output = tools(&[
        "bench",
        "set",
        "get",
        "mixed",
        "create",
        "multi",
        "sessions",
        "-s",
        &address,
        "-c",
        "3",
        "-d",
        "4",
        "--ops",
        "600",
        "--znodes",
        "1500",
        "--server-pid",
        &pid,
        "--json",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let reports: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let names: Vec<_> = reports
        .iter()
        .map(|r| r["workload"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["set", "get", "mixed", "create", "multi", "sessions"]
    );
    for report in &reports {
        assert_eq!(report["ops"], 600, "{report}");
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        assert!(report["per_second"].as_f64().unwrap() > 0.0);
        assert!(report["server_rss_mb"].as_f64().unwrap() > 0.0);
    }
    assert!(reports[2]["read_us"]["count"].as_u64().unwrap() > 400);
    let output = tools(&["shell", "-server", &address, "ls", "/"]);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .ends_with("[zookeeper]\n")
    );
    server.stop().unwrap();
}

#[test]
fn an_open_loop_sends_at_its_rate_and_counts_from_when_requests_were_due() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir);
    let address = server.client_addr().to_string();
    let bench = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie-tools"));
        command.args(["bench", "-s", &address, "--json"]);
        command.args(words).output().unwrap()
    };
    let output = bench(&["mixed", "-c", "3", "--rate", "500/s", "--ops", "400"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ops"], 400);
    assert_eq!(report["rate"], 500.0);
    // The last of 400 requests is due after 0.798 s, and no answer comes before.
    assert!(report["seconds"].as_f64().unwrap() >= 0.798, "{report}");
    let refused = bench(&["sessions", "--rate", "500/s", "--ops", "4"]);
    assert!(!refused.status.success());
    server.stop().unwrap();
}
