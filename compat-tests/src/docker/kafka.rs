//! Owns Kafka with its metadata in an ensemble: two brokers and Kafka's own tools, in containers. Must not
//! look into Kafka, but for which broker is the controller.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::clients::common_folder;
use super::engine::{Engine, Said, docker, run, work_dir};
use super::images::CLIENTS;
use super::members::{Ensemble, docker_logs};
use crate::programs;

/// How long Kafka may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long one of its tools may take.
const TOOL: Duration = Duration::from_secs(90);
/// The brokers' numbers.
const BROKERS: [u32; 2] = [1, 2];
/// The topic of the test.
const TOPIC: &str = "records";
/// The user that needs permissions; the brokers and the tools are nobody, who may do all.
const JAAS: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/// Kafka on an ensemble.
struct Kafka<'a> {
    engine: &'a Engine,
    ensemble: Ensemble,
    class_path: String,
    repository: PathBuf,
    files: PathBuf,
    /// Records that were produced.
    records: BTreeSet<u32>,
}

/// Builds the class path; what is slow the first time.
pub(super) fn prepare() -> Result<()> {
    programs::class_path("kafka").map(drop)
}

/// Everything, step by step; what to tell of it.
pub(super) fn all(engine: &Engine) -> Result<String> {
    let class_path = programs::class_path("kafka")?;
    let ensemble = Ensemble::start(engine, "kafka", 1000)?;
    let files = work_dir()?.join("kafka");
    fs::create_dir_all(&files)?;
    let repository = common_folder(&class_path)?;
    let mut kafka = Kafka {
        engine,
        ensemble,
        class_path,
        repository,
        files,
        records: BTreeSet::new(),
    };
    kafka.steps().map_err(|error| {
        let brokers = BROKERS.map(|broker| docker_logs(&kafka.name(&format!("kafka{broker}"))));
        let error = anyhow!(
            "{error:#}\n  kafka1: {}\n  kafka2: {}",
            brokers[0],
            brokers[1]
        );
        kafka.ensemble.explain(&error)
    })
}

impl Kafka<'_> {
    fn steps(&mut self) -> Result<String> {
        self.start()?;
        self.admin(
            "org.apache.kafka.tools.TopicCommand",
            &format!("--create --topic {TOPIC} --partitions 4 --replication-factor 2"),
        )?;
        self.produce(1..=500).context("the first records")?;
        self.permissions()?;
        self.configuration()?;
        let (old, new) = self.controller_dies()?;
        self.member_dies()?;
        self.consume("all records at the end", "")?;
        let topics = self.admin("org.apache.kafka.tools.TopicCommand", "--describe")?;
        let whole =
            topics.out.matches("\tIsr: 1,2").count() + topics.out.matches("\tIsr: 2,1").count();
        ensure!(whole >= 4, "replicas are missing: {}", topics.out);
        Ok(format!(
            "{} records, controller moved from broker {old} to {new}, ACLs, configuration",
            self.records.len()
        ))
    }

    fn name(&self, what: &str) -> String {
        self.engine.name(what)
    }

    /// Two brokers, and a container for the tools.
    fn start(&self) -> Result<()> {
        let tool = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n".to_owned()
            + &format!("sasl.jaas.config={JAAS} username=\"alice\" password=\"secret\";\n");
        fs::write(self.files.join("alice.properties"), tool)?;
        for broker in BROKERS {
            fs::write(
                self.files.join(format!("kafka{broker}.properties")),
                self.properties(broker),
            )?;
            let heap = "java -Xmx384m -XX:TieredStopAtLevel=1";
            let command = format!(
                "exec {heap} -cp {} kafka.Kafka {}/kafka{broker}.properties",
                self.class_path,
                self.files.display()
            );
            self.container(&format!("kafka{broker}"), &command)?;
        }
        self.container("tools", "exec sleep 3600")?;
        self.await_brokers(&BROKERS)
    }

    fn properties(&self, broker: u32) -> String {
        [
            format!("broker.id={broker}"),
            format!("zookeeper.connect={}", Ensemble::connect_string()),
            "zookeeper.session.timeout.ms=6000".to_owned(),
            format!("listeners=PLAINTEXT://kafka{broker}:9092,SASL_PLAINTEXT://kafka{broker}:9093"),
            "sasl.enabled.mechanisms=PLAIN".to_owned(),
            format!(
                "listener.name.sasl_plaintext.plain.sasl.jaas.config={JAAS} user_alice=\"secret\";"
            ),
            "authorizer.class.name=kafka.security.authorizer.AclAuthorizer".to_owned(),
            "super.users=User:ANONYMOUS".to_owned(),
            "offsets.topic.replication.factor=2".to_owned(),
            "offsets.topic.num.partitions=4".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
            "log.dirs=/tmp/kafka-logs".to_owned(),
        ]
        .join("\n")
    }

    fn container(&self, alias: &str, command: &str) -> Result<()> {
        let (name, label) = (self.name(alias), self.engine.label());
        let mount = |path: &Path| format!("{0}:{0}:ro", path.display());
        let (files, jars) = (mount(&self.files), mount(&self.repository));
        docker(&[
            "run",
            "-d",
            "--init",
            "--name",
            &name,
            "--label",
            &label,
            "--network",
            &self.ensemble.network,
            "--network-alias",
            alias,
            "-v",
            &files,
            "-v",
            &jars,
            CLIENTS,
            "sh",
            "-c",
            command,
        ])
        .map(drop)
    }

    /// A shell command in the tools' container, with `$K` for Java and its class path.
    fn shell(&self, command: &str) -> Result<Said> {
        let jvm =
            "java -Xmx192m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error";
        let line = format!("K='{jvm} -cp {}'; {command}", self.class_path);
        let mut docker = std::process::Command::new("docker");
        docker.args(["exec", &self.name("tools"), "sh", "-c", &line]);
        run(docker, TOOL)
    }

    /// One of Kafka's tools, which has to succeed.
    fn admin(&self, class: &str, arguments: &str) -> Result<Said> {
        let said = self.shell(&format!(
            "$K {class} --bootstrap-server kafka1:9092,kafka2:9092 {arguments}"
        ))?;
        ensure!(said.status.success(), "{class} {arguments}: {}", said.all());
        Ok(said)
    }

    /// Produces numbers; each is acknowledged by all replicas there are.
    fn produce(&mut self, numbers: std::ops::RangeInclusive<u32>) -> Result<()> {
        let said = self.shell(&format!(
            "seq {} {} | $K kafka.tools.ConsoleProducer --bootstrap-server kafka1:9092,kafka2:9092 \
             --topic {TOPIC} --request-required-acks all --producer-property enable.idempotence=true \
             --producer-property retries=1000 --producer-property max.block.ms=60000",
            numbers.start(),
            numbers.end()
        ))?;
        ensure!(
            said.status.success() && !said.err.contains("ERROR"),
            "the producer: {}",
            said.all()
        );
        self.records.extend(numbers);
        Ok(())
    }

    /// Consumes everything from the beginning; it must be what was produced, each record once.
    fn consume(&self, what: &str, options: &str) -> Result<()> {
        let said = self.read(self.records.len(), "kafka1:9092,kafka2:9092", options)?;
        let mut seen: Vec<u32> = said
            .out
            .lines()
            .filter_map(|l| l.trim().parse().ok())
            .collect();
        seen.sort_unstable();
        let there: BTreeSet<u32> = seen.iter().copied().collect();
        ensure!(
            there == self.records,
            "{what}: {} records are missing, the first is {:?}: {}",
            self.records.difference(&there).count(),
            self.records.difference(&there).next(),
            said.err
        );
        ensure!(seen.len() == there.len(), "{what}: records came twice");
        Ok(())
    }

    fn read(&self, most: usize, servers: &str, options: &str) -> Result<Said> {
        self.shell(&format!(
            "$K org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server {servers} --topic {TOPIC} \
             --from-beginning --max-messages {most} --timeout-ms 30000 {options}"
        ))
    }

    /// A user that may not read, until an ACL lets it.
    fn permissions(&self) -> Result<()> {
        let alice = format!(
            "--consumer.config {}/alice.properties --group alice",
            self.files.display()
        );
        let refused = self.read(1, "kafka1:9093", &alice)?;
        ensure!(
            refused.out.trim().is_empty() && refused.all().contains("AuthorizationException"),
            "a user without permission reads: {}",
            refused.all()
        );
        let allow = format!(
            "--add --allow-principal User:alice --operation Read --topic {TOPIC} --group alice"
        );
        self.admin("kafka.admin.AclCommand", &allow)?;
        let begun = Instant::now();
        // Each broker hears of it by a watch.
        loop {
            let said = self.read(self.records.len(), "kafka1:9093", &alice)?;
            if said.out.lines().count() == self.records.len() {
                break;
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "a user with permission cannot read: {}",
                said.all()
            );
        }
        let list = self.admin("kafka.admin.AclCommand", &format!("--list --topic {TOPIC}"))?;
        ensure!(
            list.out.contains("User:alice"),
            "the ACL is not listed: {}",
            list.out
        );
        Ok(())
    }

    /// Settings of a topic, by way of a broker, and a user's, written to the ensemble by the tool itself.
    fn configuration(&self) -> Result<()> {
        let class = "kafka.admin.ConfigCommand";
        let of = format!("--entity-type topics --entity-name {TOPIC}");
        self.admin(
            class,
            &format!("{of} --alter --add-config max.message.bytes=123456"),
        )?;
        let said = self.admin(class, &format!("{of} --describe"))?;
        ensure!(
            said.out.contains("max.message.bytes=123456"),
            "the setting is lost: {}",
            said.out
        );
        let carol = format!(
            "--zookeeper {} --entity-type users --entity-name carol",
            Ensemble::connect_string()
        );
        let set = self.shell(&format!(
            "$K {class} {carol} --alter --add-config 'SCRAM-SHA-256=[password=x]'"
        ))?;
        ensure!(set.status.success(), "{class} --zookeeper: {}", set.all());
        let text = self.ensemble.data("/config/users/carol")?;
        ensure!(
            text.contains("SCRAM-SHA-256"),
            "the user's setting is lost: {text}"
        );
        Ok(())
    }

    /// The broker that is the controller is killed, and comes back when another one is. Both numbers.
    fn controller_dies(&mut self) -> Result<(u32, u32)> {
        let old = self.controller()?;
        docker(&["kill", &self.name(&format!("kafka{old}"))])?;
        let begun = Instant::now();
        let new = loop {
            match self.controller() {
                Ok(new) if new != old => break new,
                _ => ensure!(
                    begun.elapsed() < PATIENCE,
                    "no other broker becomes the controller"
                ),
            }
            thread::sleep(Duration::from_millis(200));
        };
        self.produce(501..=1000)
            .context("without the old controller")?;
        docker(&["start", &self.name(&format!("kafka{old}"))])?;
        self.await_brokers(&BROKERS)?;
        Ok((old, new))
    }

    /// The ensemble's leader is killed while records are produced.
    fn member_dies(&mut self) -> Result<()> {
        let leader = self.ensemble.leader()?;
        self.ensemble.kill(leader)?;
        self.produce(1001..=1500).context("without a member")?;
        self.admin(
            "org.apache.kafka.tools.TopicCommand",
            "--create --topic made-without-a-member --partitions 2 --replication-factor 2",
        )?;
        self.ensemble.start_again(leader)?;
        self.ensemble.await_serving()?;
        self.await_brokers(&BROKERS)
    }

    fn controller(&self) -> Result<u32> {
        let text = self.ensemble.data("/controller")?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let id = value.get("brokerid").and_then(serde_json::Value::as_u64);
        Ok(u32::try_from(id.with_context(|| text.clone())?)?)
    }

    /// Waits until these brokers have registered, one of them as controller.
    fn await_brokers(&self, brokers: &[u32]) -> Result<()> {
        let begun = Instant::now();
        loop {
            let there = |broker: &u32| {
                self.ensemble
                    .data(&format!("/brokers/ids/{broker}"))
                    .is_ok()
            };
            if brokers.iter().all(there) && self.controller().is_ok() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("the brokers are not there within {} s", PATIENCE.as_secs());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}
