//! Owns four-letter words: their names, whether they are allowed, their answers. May look at
//! everything. Must not change anything but statistics. Source: `FourLetterCommands`.

mod report;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use menagerie_core::ids::SessionId;
use menagerie_core::tree::Tree;
use menagerie_wire::text::fourletter::{Command, FourLetterWord as Word};
use tokio::sync::oneshot;

use crate::client::registry::LastOp;
use crate::runtime::engine::Engine;
use crate::shared::Shared;

/// The trace mask that `gtmk` shows at first. Source: `ZooTrace`.
pub(crate) const TRACE_MASK: i64 = 306;

/// The answer of a member without a leader. Source: `AbstractFourLetterCommand.ZK_NOT_SERVING`.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// The sessions, as the core thread knows them.
pub(crate) async fn sessions(shared: &Shared) -> Vec<(SessionId, i32)> {
    let sessions = inspect(shared, |engine, _| engine.replica().sessions().all()).await;
    sessions.unwrap_or_default()
}

/// Answers a word.
pub(crate) async fn answer(shared: &Arc<Shared>, command: Command) -> Vec<u8> {
    let word = command.word;
    if word == Word::TelnetClose {
        return Vec::new();
    }
    if !shared.config.four_letter_word_allowed(word.name()) {
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
    if needs_leader && !shared.is_serving() && !shared.is_read_only() {
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
            for conn in shared.conns.all() {
                *conn.last_op() = LastOp::default();
                conn.stats.received.store(0, Relaxed);
                conn.stats.sent.store(0, Relaxed);
            }
            "Connection stats reset.\n".to_owned()
        }
        Word::Srst => {
            shared.stats.reset();
            "Server stats reset.\n".to_owned()
        }
        Word::Cons => report::cons(shared),
        Word::Srvr => report::srvr(shared),
        Word::Stat => report::stat(shared),
        Word::Wchs => report::wchs(shared),
        Word::Wchc => report::wchc(shared),
        Word::Wchp => report::wchp(shared),
        Word::Dump | Word::Mntr => {
            let shown = Arc::clone(shared);
            inspect(shared, move |engine, tree| match word {
                Word::Dump => report::dump(&shown, engine.replica(), tree),
                _ => report::mntr(&shown, engine, tree),
            })
            .await
            .unwrap_or_else(|| NOT_SERVING.to_owned())
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

/// Asks the core thread; a server that is ending does not answer.
async fn inspect<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&Engine, &Tree) -> T + Send + 'static,
) -> Option<T> {
    let (send, receive) = oneshot::channel();
    shared.inbox.inspect(Box::new(move |engine, tree| {
        let _asker_gone = send.send(question(engine, tree));
    }));
    receive.await.ok()
}
