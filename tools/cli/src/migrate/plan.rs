//! Owns the plan as it is printed: the order of the members and the commands for each. Must not judge
//! whether it is a good moment.

use std::fmt::Write as _;

use super::judge::order;
use super::members::{Member, Targets};

/// The plan of taking over those that are not Menagerie yet.
pub(crate) fn text(targets: &Targets, members: &[Member]) -> String {
    let mut out = String::new();
    let mut say = |line: String| {
        // Writing into a String cannot fail.
        let _infallible = writeln!(out, "{line}");
    };
    let option = targets.option();
    let order = order(members, false);
    if order.is_empty() {
        say("Every member is Menagerie already.".to_owned());
        return out;
    }
    let names: Vec<&str> = order
        .iter()
        .map(|member| member.known.name.as_str())
        .collect();
    say(format!("Order: {}", names.join(", ")));
    say("Observers first, then followers, the leader last: its stop is the only one that makes the others elect.".to_owned());
    say(String::new());
    say("Before:".to_owned());
    say(format!("  menagerie-tools migrate check {option}"));
    say(
        "  on every machine: menagerie doctor zoo.cfg, with the JVMFLAGS of Apache's server"
            .to_owned(),
    );
    for (number, member) in (1..).zip(&order) {
        let mode = match &member.said {
            Ok(said) => said.mode.clone(),
            Err(why) => why.clone(),
        };
        say(String::new());
        say(format!(
            "{number}. {} at {} ({mode}), on its machine:",
            member.known.name,
            member.known.at()
        ));
        say("  zkServer.sh stop zoo.cfg              # or what stops it here".to_owned());
        say("  cp -a DATADIR DATADIR.before          # and dataLogDir, if there is one".to_owned());
        say(
            "  menagerie zoo.cfg                     # the same file, user and JVMFLAGS".to_owned(),
        );
        say("  then, from anywhere:".to_owned());
        say(format!(
            "  menagerie-tools migrate watch {option} --until-safe"
        ));
        say("  go on when it says SAFE; when it says BACK, or WAIT for too long, go back with this member".to_owned());
    }
    say(String::new());
    say("Back, at any time, one member at a time: stop Menagerie, start Apache's server on the same directory;".to_owned());
    say(format!(
        "  menagerie-tools migrate watch {option} --until-safe --back"
    ));
    out
}
