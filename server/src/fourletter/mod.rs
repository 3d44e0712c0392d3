//! Owns four-letter words: their names, whether they are allowed, their answers. May look at
//! everything. Must not change anything but statistics. Source: `FourLetterCommands`.

mod mntr;
mod report;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_wire::text::fourletter::{Command, FourLetterWord as Word};

use crate::shared::Shared;

pub(crate) use report::{environment_lines, java_address, op_name};

/// The trace mask that `gtmk` shows at first. Source: `ZooTrace`.
pub(crate) const TRACE_MASK: i64 = 306;

/// The answer of a member without a leader. Source: `AbstractFourLetterCommand.ZK_NOT_SERVING`.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Answers a word that came over the secure port, or the other one.
pub(crate) async fn answer(shared: &Arc<Shared>, command: Command, secure: bool) -> Vec<u8> {
    let word = command.word;
    if word == Word::TelnetClose {
        return Vec::new();
    }
    if !shared.live.load().four_letter_word_allowed(word.name()) {
        tracing::warn!(
            word = word.name(),
            "four-letter word refused; 4lw.commands.whitelist does not have it"
        );
        let name = word.name();
        return format!("{name} is not executed because it is not in the whitelist.\n")
            .into_bytes();
    }
    let needs_leader = !matches!(
        word,
        Word::Ruok | Word::Isro | Word::Conf | Word::Envi | Word::Gtmk | Word::Stmk
    );
    if needs_leader && !shared.answers_clients() {
        return NOT_SERVING.as_bytes().to_vec();
    }
    let text = match word {
        Word::Ruok => "imok".to_owned(),
        Word::Isro if shared.is_serving() => "rw".to_owned(),
        Word::Isro if shared.is_read_only() => "ro".to_owned(),
        Word::Isro => "null".to_owned(),
        Word::Conf => report::conf(shared),
        Word::Dirs => report::dirs(shared),
        Word::Envi => report::envi(),
        Word::Gtmk => shared.trace_mask.load(Relaxed).to_string(),
        Word::Stmk => set_trace_mask(shared, command),
        Word::Hash => report::hash(shared),
        Word::Crst => {
            shared.conns.reset_stats(Some(secure));
            "Connection stats reset.\n".to_owned()
        }
        Word::Srst => {
            shared.stats.reset();
            "Server stats reset.\n".to_owned()
        }
        Word::Cons => report::cons(shared, secure),
        Word::Srvr => report::srvr(shared),
        Word::Stat => report::stat(shared, secure),
        Word::Wchs => report::wchs(shared),
        Word::Wchc => report::wchc(shared),
        Word::Wchp => report::wchp(shared),
        Word::Dump | Word::Mntr => {
            let shown = Arc::clone(shared);
            let text = shared.inbox.ask(move |engine, tree| match word {
                Word::Dump => report::dump(&shown, engine, tree),
                _ => mntr::text(&shown, engine, tree),
            });
            text.await.unwrap_or_else(|| NOT_SERVING.to_owned())
        }
        // Only telnet's goodbye is left, and it has been dealt with.
        _ => String::new(),
    };
    text.into_bytes()
}

fn set_trace_mask(shared: &Shared, command: Command) -> String {
    let mask = command.trace_mask.unwrap_or_default();
    shared.trace_mask.store(mask, Relaxed);
    mask.to_string()
}
